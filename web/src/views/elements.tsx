/** Small parts that the Preact views share with the others. */

import { signal, type ReadonlySignal } from "@preact/signals";
import { ICONS, type IconName } from "../dom";
import type { State, Store } from "../state";

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg viewBox="0 0 24 24" class="icon" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

interface IconButtonProps {
  readonly name: IconName;
  readonly label: string;
  readonly shortcut?: string;
  readonly small?: boolean;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

/** A button that shows an icon and says what it does. */
export function IconButton({ name, label, shortcut, small = false, disabled = false, onClick }: IconButtonProps) {
  const title = shortcut === undefined ? label : `${label} (${shortcut})`;
  return (
    <button
      type="button"
      class={small ? "icon-button small" : "icon-button"}
      aria-label={label}
      title={title}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={name} />
    </button>
  );
}

/** Return a field of the store as a signal. */
export function fieldOf<K extends keyof State>(store: Store, key: K): ReadonlySignal<State[K]> {
  const field = signal(store.state[key]);
  store.on([key], (state) => {
    field.value = state[key];
  });
  return field;
}
