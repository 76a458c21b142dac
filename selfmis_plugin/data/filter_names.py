"""Names of the filters that a store can be made with; selfmis_plugin.data.filters has them."""

from __future__ import annotations

NO_FILTER = "none"
ECGFOUNDER = "ecgfounder"
BANDPASS = "bandpass"
FILTER_NAMES = (NO_FILTER, ECGFOUNDER, BANDPASS)
