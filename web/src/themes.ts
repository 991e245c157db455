/** What can be chosen of how the page looks. */

export const THEMES = ["system", "dark", "light", "contrast"] as const;
export type Theme = (typeof THEMES)[number];
export const SIDES = ["left", "right"] as const;
export type Side = (typeof SIDES)[number];
