/** Thumbnails as addresses of pictures in this page's memory: nothing of a patient lies in the browser's cache. */

import { address } from "./api";

const KEPT = 500;
const AT_ONCE = 3; // requests, so that others get through

const kept = new Map<string, string>(); // by case, those used last at the end
const waiting: (() => void)[] = [];
let running = 0;

/** Return the address of a case's thumbnail, where it has been fetched. */
export function knownThumbnail(id: string): string | null {
  const url = kept.get(id);
  if (url === undefined) return null;
  kept.delete(id);
  kept.set(id, url);
  return url;
}

/** Fetch a case's thumbnail; null where there is none, or nobody wants it any longer. */
export async function thumbnail(id: string, signal: AbortSignal): Promise<string | null> {
  await turn();
  try {
    if (signal.aborted) return null;
    const known = knownThumbnail(id);
    if (known !== null) return known;
    const reply = await fetch(address(`api/cases/${id}/thumbnail`), { signal, priority: "low" });
    if (!reply.ok) return null;
    const url = URL.createObjectURL(await reply.blob());
    kept.set(id, url);
    for (const [oldest, old] of kept) {
      if (kept.size <= KEPT) break;
      kept.delete(oldest);
      URL.revokeObjectURL(old);
    }
    return url;
  } catch {
    return null; // a row without a picture is a row all the same
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function turn(): Promise<void> {
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
}
