# The plugin with fairseq as its host, in one image.
#
#   docker build -t selfmis .                                              # for a CPU
#   docker build -t selfmis --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --rm selfmis demo --dest /data/demo --scale 0.05
#   docker run --rm -v "$PWD:/data" selfmis predict --model model ecg.csv
#
# With a CUDA build of PyTorch: docker run --gpus all ... (the NVIDIA container toolkit brings the
# driver's libraries; the build of PyTorch brings CUDA's).
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm

# The index that has the build of PyTorch: .../cpu, or .../cu126, .../cu130 for a GPU.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH=2.13.0
# Further extras of the plugin, apart by commas.
ARG EXTRAS=fairseq,export,formats,serve

# g++ and make build fairseq's extensions, and the encoder's machine code where it first runs.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/selfmis
# fairseq is built from source: torch and the build tools come first, its isolation is switched off.
RUN pip install --no-cache-dir "pip>=23.2" "setuptools>=68,<81" wheel "numpy>=1.24" "cython>=3" \
    && pip install --no-cache-dir --index-url "${TORCH_INDEX}" \
        --extra-index-url https://pypi.org/simple "torch==${TORCH}"
COPY . .
RUN pip install --no-cache-dir --no-build-isolation ".[${EXTRAS}]"

# Whoever runs it need not be root, and what is compiled is kept in the home folder.
RUN useradd --create-home selfmis && mkdir /data && chown selfmis /data
USER selfmis
WORKDIR /data
ENTRYPOINT ["selfmis"]
CMD ["doctor"]
