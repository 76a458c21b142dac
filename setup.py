"""Packaging of the SelfMIS plugin."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SIGNALS = (
    "fairseq_signals @ git+https://github.com/Jwoos5/fairseq-signals"
    "@6b9e1375bbe6bc2e55ff4d9b95eabe8eee3adec7"
)
FORMATS = ["ecgdatakit[dicom]>=2.0.3,<3"]
SERVE = ["starlette>=0.40,<2", "uvicorn>=0.30,<1", "anyio>=4.6,<5"]
NOTEBOOKS = ["nbclient>=0.10,<1", "nbformat>=5.10,<6", "ipykernel>=6.29"]
DOCS = ["sphinx>=8,<9", "furo>=2024.8.6", "myst-nb>=1.1,<2", *NOTEBOOKS]
EXPORT = ["onnx>=1.16", "onnxscript>=0.1", "onnxruntime>=1.18"]


class BuildWithConfigs(build_py):
    """Put the YAML files into the wheel; a checkout's are read where they are."""

    def run(self) -> None:
        """Build the package, then copy the configs into it."""
        super().run()
        if not getattr(self, "editable_mode", False):
            target = Path(self.build_lib) / "selfmis_plugin" / "configs"
            shutil.copytree(ROOT / "configs", target, dirs_exist_ok=True)


def version() -> str:
    """Return the package's version, written in one place."""
    text = (ROOT / "selfmis_plugin" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    if found is None:
        raise RuntimeError("selfmis_plugin/_version.py has no __version__")
    return found.group(1)


setup(
    name="selfmis-plugin",
    version=version(),
    description="SelfMIS for fairseq-signals: single-lead ECG encoders that see infarction",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE", "selfmis_plugin/predict/shipped/*/NOTICE"],
    python_requires=">=3.10",
    # Written out, because setuptools then installs a checkout by a plain .pth file. Its other way
    # hides the namespace package hydra_plugins from Hydra's scan.
    package_dir={"": "."},
    packages=[
        *find_packages(include=["selfmis_plugin", "selfmis_plugin.*", "manifests"]),
        *find_namespace_packages(include=["hydra_plugins.*"]),
    ],
    package_data={
        # Compiled where it is first needed.
        "selfmis_plugin.nn.net1d.native": ["*.cpp", "*.h"],
        "selfmis_plugin.serve": ["page/*"],
        "selfmis_plugin.synthetic": ["*.json"],
        # The model for whom none is named, under a licence of its own.
        "selfmis_plugin.predict": ["shipped/*/*"],
        # Type checkers read its annotations.
        "selfmis_plugin": ["py.typed"],
    },
    cmdclass={"build_py": BuildWithConfigs},
    install_requires=[
        "torch>=2.4",
        "numpy>=1.24",
        "scipy>=1.10",
        "pandas>=2.0",
        "pyarrow>=14",
        "wfdb>=4.1",
        # Tells how long a FLAC signal file is; wfdb decodes it by the same package.
        "soundfile>=0.12",
        "scikit-learn>=1.3",
        "matplotlib>=3.7",
        "tqdm>=4.60",
        "joblib>=1.3",
        "threadpoolctl>=3.1",
        "psutil>=5.9",
        # Versions of the host are compared by it in the doctor's findings.
        "packaging>=21",
        # Encoders are saved in and read from it: no code in the file, no copy in memory.
        "safetensors>=0.4",
        # ECGFounder's filter: its running median and recursions, three times SciPy's speed.
        "numba>=0.59",
        # EDF in pure Python, lazily, with a rate per channel.
        "edfio>=0.4",
        # Shells complete commands and options by it; imported when they ask.
        "argcomplete>=3,<4",
        # The report's page; it escapes what comes from other people's files.
        "jinja2>=3",
        # The head of model cards, and models by their name on the Hugging Face hub.
        "huggingface_hub>=0.30,<2",
    ],
    extras_require={
        # The embedded default host. Its build needs torch, numpy, cython and setuptools already
        # installed and --no-build-isolation.
        "fairseq": ["fairseq-fixed>=0.12.3.1,<0.13"],
        # The toolkit this plugin is made for. Not beside the extra above: both bring fairseq_cli.
        # Newer transformers have moved names that it imports.
        "signals": [SIGNALS, "transformers==4.46.3"],
        # Preparation on an existing Dask cluster.
        "cluster": ["distributed>=2024.1"],
        # ONNX files: PyTorch's exporter needs onnxscript; onnxruntime checks, quantises, runs them.
        "export": EXPORT,
        # Recordings in the formats of hospitals and devices: HL7 aECG, SCP-ECG, DICOM and others.
        "formats": FORMATS,
        # The page: an ASGI application and its server, in pure Python.
        "serve": SERVE,
        # Curves elsewhere than in the run's folder: common.tensorboard_logdir, in fairseq, and
        # common.wandb_project.
        "tensorboard": ["tensorboard>=2.14,<3"],
        "wandb": ["wandb>=0.16,<1"],
        # The site, strictly built, and its notebooks executed.
        "docs": DOCS,
        "dev": [
            "distributed>=2024.1",
            *EXPORT,
            *FORMATS,
            *SERVE,
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.10",
            "build>=1.0",
            # Which folder may import which; its contracts are in pyproject.toml.
            "import-linter>=2.1,<3",
            "pandas-stubs",
            "pre-commit>=3.5,<5",
            *NOTEBOOKS,
            # Drives the Chromium that the system has.
            "playwright>=1.40,<2",
        ],
    },
    entry_points={
        "console_scripts": ["selfmis = selfmis_plugin.cli.main:main"],
        # Hydra up to 1.3 scans the namespace package hydra_plugins; 1.4 reads this group.
        "hydra.plugins": ["selfmis = hydra_plugins.selfmis"],
    },
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
