/** The list of cases, and what is known of one of them. */

import * as api from "../api";
import { CaseList } from "../caselist";
import type { Store } from "../state";

export class Worklist {
  readonly list = new CaseList();

  constructor(private readonly store: Store) {}

  /** Return a case, null where the server says that it has none such. */
  async caseIfThere(id: string): Promise<api.Case | null> {
    try {
      return await api.oneCase(id);
    } catch (error) {
      if (error instanceof api.ApiError && error.status === api.GONE) return null;
      throw error;
    }
  }

  /** Fetch the list of cases again, with one of them in sight. */
  async refresh(seen?: string): Promise<void> {
    await this.list.refresh(seen);
    this.store.set({ cases: this.list.known });
  }

  adopt(changed: api.Case): void {
    this.list.replace(changed);
    if (this.store.state.work?.id === changed.id) this.store.set({ work: changed });
  }
}
