/** A search for organs, tissues and lesions, which knows their SNOMED CT codes. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import * as api from "../api";
import { phrases } from "../phrases";
import { reportErrors } from "../toasts";

const SAY = phrases.labelling;
const PAUSE_MS = 120; // after the last letter

interface Props {
  readonly id: string;
  readonly label: string;
  readonly onPick: (structure: api.Structure) => void;
}

export function StructureSearch({ id, label, onPick }: Props) {
  const text = useSignal("");
  const found = useSignal<readonly api.Structure[]>([]);
  const active = useSignal(0);
  useEffect(() => {
    const words = text.value.trim();
    if (words === "") {
      found.value = [];
      return;
    }
    const timer = setTimeout(() => {
      reportErrors(async () => {
        const structures = await api.structures(words);
        if (text.value.trim() === words) {
          found.value = structures;
          active.value = 0;
        }
      });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [text.value]);
  const pick = (structure: api.Structure | undefined): void => {
    if (structure === undefined) return;
    text.value = "";
    onPick(structure);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined && found.value.length > 0) {
      event.preventDefault();
      active.value = (active.value + by + found.value.length) % found.value.length;
      document.getElementById(`${id}-${active.value}`)?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(found.value[active.value]);
    }
  };
  return (
    <div class="structure-search">
      <input
        id={id}
        class="text-input"
        role="combobox"
        aria-label={label}
        aria-expanded={found.value.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={found.value.length > 0 ? `${id}-${active.value}` : undefined}
        placeholder={SAY.example}
        autocomplete="off"
        spellcheck={false}
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value;
        }}
        onKeyDown={onKeyDown}
      />
      <ul
        class="structure-list"
        id={`${id}-list`}
        role="listbox"
        aria-label={SAY.found}
        hidden={found.value.length === 0}
      >
        {found.value.map((structure, i) => (
          <li
            key={structure.name}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === active.value}
            onClick={() => {
              pick(structure);
            }}
          >
            <span lang="en">{structure.name}</span>
            <code>{structure.codes.type.value}</code>
          </li>
        ))}
      </ul>
      {text.value.trim() !== "" && found.value.length === 0 && <p class="hint">{SAY.notFound}</p>}
    </div>
  );
}

/** Return what codes mean, in words. */
export function codeWords({ type, side }: api.Codes): string {
  return side === null || side === undefined ? type.meaning : `${type.meaning}, ${side.meaning.toLowerCase()}`;
}
