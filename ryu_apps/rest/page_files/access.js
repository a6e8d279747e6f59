// The token of this tab, and what its role allows.

import { byId } from "./dom.js";
import { change, get, token } from "./rest.js";

const ROLES = ["read", "operate", "admin"];

export class Access {
  constructor(store) {
    this.store = store;
    this.found = null;
    this.begin = () => {};
    this.dialog = byId("token-dialog");
    byId("token-button").addEventListener("click", () => this.ask());
    byId("token-cancel").addEventListener("click", () => this.dialog.close());
    byId("token-form").addEventListener("submit", () => this.take());
    byId("token-forget").addEventListener("click", () => this.forget());
    byId("reload-policies").addEventListener("click", () => this.reload());
  }

  async read() {
    this.found = await get("/evb/access");
    const button = byId("token-button");
    button.hidden = !this.found.tokens;
    button.textContent = `Token: ${this.found.name} (${this.found.role})`;
    byId("reload-policies").hidden = !this.allows("admin");
    this.store.tell("access");
  }

  /** True if the role of the token is this one or a higher one. */
  allows(role) {
    return this.found !== null && ROLES.indexOf(this.found.role) >= ROLES.indexOf(role);
  }

  ask() {
    const known = token.get() !== null;
    byId("token-fault").textContent = known && this.found === null ? "The bridge does not accept this token." : "";
    byId("token-button").hidden = false;
    byId("token").value = "";
    if (!this.dialog.open) this.dialog.showModal();
  }

  take() {
    const text = byId("token").value.trim();
    if (text === "") return;
    token.set(text);
    this.found = null;
    this.begin();
  }

  forget() {
    token.forget();
    location.reload();
  }

  async reload() {
    const button = byId("reload-policies");
    button.disabled = true;
    try {
      await change("POST", "/evb/vsitypes/reload");
      button.textContent = "Policies reloaded";
    } catch (error) {
      alert(`The policies are not in force.\n\n${error.message}`);
    } finally {
      button.disabled = false;
      setTimeout(() => (button.textContent = "Reload policies"), 3000);
    }
  }
}
