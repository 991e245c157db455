/** The server's REST interface; every failure is an ApiError with one sentence for a person. */

export interface Method {
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  readonly prompts: readonly string[];
  readonly dimensions: readonly number[];
  readonly weights: string;
}

export interface Format {
  readonly suffix: string;
  readonly title: string;
}

export interface Case {
  readonly id: string;
  readonly name: string;
  readonly shape: readonly [number, number, number];
  readonly spacing: readonly [number, number, number];
  readonly channels: number;
  readonly modality: string;
  readonly notes: readonly string[];
  readonly created: string;
}

type Triple = readonly [number, number, number];

export interface Label {
  readonly value: number;
  readonly name: string;
  readonly colour: Triple;
  readonly locked: boolean;
}

export type Prompt =
  | { readonly kind: "click"; readonly index: Triple; readonly positive: boolean }
  | { readonly kind: "stroke"; readonly points: readonly Triple[]; readonly positive: boolean; readonly radius: number }
  | { readonly kind: "box"; readonly low: Triple; readonly high: Triple }
  | { readonly kind: "lasso"; readonly points: readonly Triple[]; readonly axis: number; readonly positive: boolean }
  | { readonly kind: "extremes"; readonly points: readonly Triple[] }
  | { readonly kind: "adjust"; readonly k: number }
  | { readonly kind: "mask"; readonly low: Triple; readonly shape: Triple; readonly bits: string };

export type Event =
  | { readonly event: "defined"; readonly label: Label }
  | { readonly event: "prompted"; readonly prompt: Prompt; readonly label: number; readonly method: string }
  | { readonly event: "removed"; readonly of: number }
  | { readonly event: "undone" }
  | { readonly event: "redone" };

/** What changes from event to event. */
export interface Progressed {
  readonly labels: readonly Label[];
  readonly done: readonly number[];
  readonly undone: readonly number[];
  readonly pending: readonly number[];
}

export interface Session extends Progressed {
  readonly id: string;
  readonly case: string;
  readonly events: readonly Event[];
}
