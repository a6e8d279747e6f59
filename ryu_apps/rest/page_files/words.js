// Numbers and times in words.

const whole = new Intl.NumberFormat("en");

export const count = (number) => whole.format(number);

export const counted = (number, singular, plural = `${singular}s`) => `${count(number)} ${number === 1 ? singular : plural}`;

/** Unix time in seconds as a time of the day. */
export const clock = (wall) => new Date(wall * 1000).toLocaleTimeString("en-GB");

/** Seconds as "15 ms", "2.3 s", "12 s", "4 min", "3 h" or "2 d". */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Seconds as "+12.3 ms" or "+1.23 s". */
export function offset(seconds) {
  return seconds < 1 ? `+${(seconds * 1000).toFixed(1)} ms` : `+${seconds.toFixed(2)} s`;
}

/** Bits a second from kbit/s. */
export function rate(kilobits) {
  if (kilobits >= 1e6) return `${+(kilobits / 1e6).toFixed(2)} Gbit/s`;
  return kilobits >= 1e3 ? `${+(kilobits / 1e3).toFixed(2)} Mbit/s` : `${kilobits} kbit/s`;
}

/** Members of an object in one line. */
export function members(detail) {
  return Object.entries(detail).map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}
