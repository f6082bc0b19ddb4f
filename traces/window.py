"""The rectangle that an experiment looks at, and each known data set's own."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Window:
    """A rectangle of the plane, borders included, in metres."""

    x_min_m: float
    x_max_m: float
    y_min_m: float
    y_max_m: float

    @property
    def width_m(self) -> float:
        """Extent along x."""
        return self.x_max_m - self.x_min_m

    @property
    def height_m(self) -> float:
        """Extent along y."""
        return self.y_max_m - self.y_min_m

    def contains(self, x_m: FloatArray, y_m: FloatArray) -> BoolArray:
        """Say for each point whether it lies inside, (n,)."""
        in_x = (x_m >= self.x_min_m) & (x_m <= self.x_max_m)
        return in_x & (y_m >= self.y_min_m) & (y_m <= self.y_max_m)

    def __str__(self) -> str:
        x = f"{self.x_min_m:.10g} to {self.x_max_m:.10g}"
        return f"x {x} m, y {self.y_min_m:.10g} to {self.y_max_m:.10g} m"


@dataclass(frozen=True)
class GeographicWindow:
    """A rectangle of latitudes and longitudes, borders included, in degrees (WGS 84)."""

    lat_min_deg: float
    lat_max_deg: float
    lon_min_deg: float
    lon_max_deg: float

    @property
    def centre_deg(self) -> tuple[float, float]:
        """Latitude and longitude of the middle."""
        lat_deg = (self.lat_min_deg + self.lat_max_deg) / 2
        return lat_deg, (self.lon_min_deg + self.lon_max_deg) / 2

    def contains(self, lon_deg: FloatArray, lat_deg: FloatArray) -> BoolArray:
        """Say for each point whether it lies inside, (n,); longitudes may go on beyond 180."""
        in_lon = self._is_between(lon_deg) | self._is_between(lon_deg - 360)
        return (lat_deg >= self.lat_min_deg) & (lat_deg <= self.lat_max_deg) & in_lon

    def _is_between(self, lon_deg: FloatArray) -> BoolArray:
        return (lon_deg >= self.lon_min_deg) & (lon_deg <= self.lon_max_deg)

    def __str__(self) -> str:
        lat = f"{self.lat_min_deg:.10g} to {self.lat_max_deg:.10g}"
        return f"latitude {lat}, longitude {self.lon_min_deg:.10g} to {self.lon_max_deg:.10g} deg"


# The paper crops KAIST to 1.5 km x 2 km (section IV.B) and gives no origin; this is the densest
# such rectangle of the data, with 89 % of all samples.
KAIST_WINDOW = Window(x_min_m=-1100.0, x_max_m=400.0, y_min_m=-700.0, y_max_m=1300.0)

# The paper's part of Beijing (section IV.B): 7.2 km x 5.6 km.
GEOLIFE_WINDOW = GeographicWindow(
    lat_min_deg=39.900341, lat_max_deg=39.950932, lon_min_deg=116.353370, lon_max_deg=116.437765
)
