/** Files and folders from the desktop: dropped anywhere on the page, or picked. */

import type { Actions } from "./actions";
import type { Upload } from "./api";
import { h, icon } from "./dom";
import { phrases } from "./phrases";
import { reportErrors, toast } from "./toasts";
import { withoutHidden } from "./uploads";

/** Take files that are dropped on the page; returns the veil that shows where. */
export function listenToDrops(actions: Actions): HTMLElement {
  const veil = h("div", { class: "drop-veil", hidden: true }, icon("upload"), h("p", {}, phrases.overlays.dropHere));
  let depth = 0;
  const brings = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (visible: boolean): void => {
    veil.hidden = !visible;
    if (!visible) depth = 0;
  };
  window.addEventListener("dragenter", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  window.addEventListener("dragover", (event) => {
    if (brings(event)) event.preventDefault();
  });
  window.addEventListener("dragleave", () => {
    depth -= 1;
    if (depth <= 0) show(false);
  });
  window.addEventListener("drop", (event) => {
    if (!brings(event) || event.dataTransfer === null) return;
    event.preventDefault();
    show(false);
    const dropped = read(event.dataTransfer); // at once: the items are gone after this event
    reportErrors(async () => {
      add(actions, await dropped);
    });
  });
  return veil;
}

async function read(transfer: DataTransfer): Promise<Upload[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const files = [...transfer.files];
  const found = await Promise.all(entries.filter((entry) => entry !== null).map((entry) => walk(entry, "")));
  const uploads = found.flat();
  return uploads.length > 0 ? uploads : files.map((file) => ({ file, name: file.name }));
}

/** Return the files under an entry, named by their path. */
async function walk(entry: FileSystemEntry, folder: string): Promise<Upload[]> {
  const name = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    return [{ file, name }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: Upload[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0) return all; // entries come a hundred at a time until none are left
    for (const one of some) all.push(...(await walk(one, `${name}/`)));
  }
}

function add(actions: Actions, uploads: readonly Upload[]): void {
  const files = withoutHidden(uploads);
  if (files.length === 0) toast(phrases.overlays.noFiles, "error");
  else reportErrors(() => actions.adding.addCases(files));
}

function pick(attributes: Record<string, unknown>, take: (uploads: Upload[]) => void): () => void {
  return () => {
    const input = h("input", { type: "file", hidden: true, ...attributes });
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      take(files.map((file) => ({ file, name: file.webkitRelativePath || file.name })));
      input.remove();
    });
    input.addEventListener("cancel", () => {
      input.remove();
    });
    document.body.append(input);
    input.click();
  };
}

const pickCases =
  (attributes: Record<string, unknown>) =>
  (actions: Actions): (() => void) =>
    pick({ multiple: true, ...attributes }, (uploads) => {
      add(actions, uploads);
    });

export const pickFiles = pickCases({});
export const pickFolder = pickCases({ webkitdirectory: true });
export const pickSeries = (actions: Actions): (() => void) =>
  pick({ multiple: true }, (uploads) => {
    reportErrors(() => actions.adding.addSeries(withoutHidden(uploads)));
  });
export const pickMask = (actions: Actions): (() => void) =>
  pick({}, ([mask]) => {
    reportErrors(() => actions.labels.loadMask(mask));
  });
