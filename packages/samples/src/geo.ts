/** Distances on the globe. */

export interface Position {
  /** Degrees, north is positive. */
  latitude: number
  /** Degrees, east is positive. */
  longitude: number
}

/** The Earth's mean radius in kilometres: R1 = (2a + b) / 3 of the WGS 84 ellipsoid (Moritz, GRS 80, 2000). */
const MEAN_EARTH_RADIUS_KM = 6371.0088

const KM_PER_MILE = 1.609344

/**
 * The great-circle distance in statute miles, by the haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky
 * and Telescope 68(2), 1984). It treats the Earth as a sphere, an error of about 0.5 % at most.
 */
export function greatCircleMiles(from: Position, to: Position): number {
  const hav =
    haversine(to.latitude - from.latitude) +
    Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude)) * haversine(to.longitude - from.longitude)
  // Rounding can raise the sum above 1 for antipodal points.
  return ((2 * MEAN_EARTH_RADIUS_KM) / KM_PER_MILE) * Math.asin(Math.sqrt(Math.min(1, hav)))
}

function haversine(degrees: number): number {
  return Math.sin(radians(degrees) / 2) ** 2
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180
}
