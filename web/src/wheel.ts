/** How many slices a wheel or a touchpad has moved: one a notch, and what a touchpad sends in small steps adds up. */

const NOTCH = 120; // CSS pixels of a wheel's notch; browsers say 53 to 120, a fast turn several at once
const LEAST = 50; // pixels from which an event is a notch, and not a step of a touchpad
const STEP = 40; // pixels of a touchpad's way for one slice
const PAUSE = 250; // ms after which the rest of a touchpad's way is forgotten

export type Turn = Pick<WheelEvent, "deltaY" | "deltaMode" | "timeStamp">;

export class Wheel {
  #rest = 0;
  #last = -Infinity;

  /** Return the whole slices of one event, below 0 upwards. */
  slices({ deltaY, deltaMode, timeStamp }: Turn): number {
    const late = timeStamp - this.#last > PAUSE;
    this.#last = timeStamp;
    if (deltaY === 0) return 0;
    if (deltaMode !== 0 || Math.abs(deltaY) >= LEAST) {
      this.#rest = 0;
      const notches = deltaMode === 0 ? Math.round(Math.abs(deltaY) / NOTCH) : 1; // lines and pages come one notch each
      return Math.sign(deltaY) * Math.max(1, notches);
    }
    if (late || this.#rest * deltaY < 0) this.#rest = 0;
    this.#rest += deltaY;
    const whole = Math.trunc(this.#rest / STEP) + 0; // no −0
    this.#rest -= whole * STEP;
    return whole;
  }
}

/** Return how much larger a turn with Ctrl makes the picture; pinching on a touchpad comes as such turns, too. */
export function zoomOf({ deltaY, deltaMode }: Pick<WheelEvent, "deltaY" | "deltaMode">): number {
  const pixels = deltaY * (deltaMode === 1 ? 33 : 1);
  return Math.exp(-pixels / (Math.abs(pixels) >= LEAST ? 400 : 100));
}
