/** What surrounds every page: the menu, the tenant, who is signed in. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import icon from "./icon.svg";
import { PAGES } from "./pages";
import { href, location } from "./router";
import { identity, signOut, switchTenant, tenant } from "./session";
import { chooseTheme, THEMES, theme, type Theme } from "./theme";
import { words } from "./ui/format";

export function Shell({ current, children }: { current: string; children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const [open, setOpen] = useState(false);
  const title = PAGES.find((page) => page.path === current)?.title ?? "No such page";
  const address = location.value.parts.join("/");
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · PDP console`;
    setOpen(false);
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [address]);
  return (
    <div class="shell">
      <a
        class="skip"
        href="#main"
        onClick={(event) => (event.preventDefault(), main.current?.focus())}
      >
        Skip to the page
      </a>
      <header class="top">
        <button
          type="button"
          class="plain menu-button"
          aria-expanded={open}
          aria-controls="menu"
          onClick={() => setOpen(!open)}
        >
          Menu
        </button>
        <a class="brand" href="#/">
          <img src={icon} alt="" width="26" height="26" />
          <span>PDP console</span>
        </a>
        <TenantField />
        <Account />
      </header>
      <nav id="menu" class={open ? "open" : ""} aria-label="Pages">
        <ul>
          {PAGES.filter((page) => page.needs()).map((page) => (
            <li key={page.path}>
              <a
                href={href(page.path === "" ? [] : [page.path])}
                aria-current={page.path === current ? "page" : undefined}
              >
                {page.title}
              </a>
            </li>
          ))}
        </ul>
        <p class="soft small">
          <a href="/docs">API reference</a>
          <br />
          Version {identity.value?.version}
        </p>
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

/** The tenant: one, a choice of some, or a field if the credential is for all. */
function TenantField() {
  const tenants = identity.value?.tenants ?? [];
  if (tenants.length === 1 && tenants[0] !== "*") return <span class="tenant">{tenants[0]}</span>;
  if (tenants.length > 1) {
    return (
      <label class="tenant">
        <span class="soft">Tenant</span>
        <select value={tenant.value} onChange={(event) => switchTenant(event.currentTarget.value)}>
          {tenants.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
    );
  }
  return (
    <label class="tenant">
      <span class="soft">Tenant</span>
      <input
        type="text"
        placeholder="default"
        autocomplete="off"
        spellcheck={false}
        maxLength={128}
        value={tenant.value}
        onChange={(event) => switchTenant(event.currentTarget.value.trim())}
      />
    </label>
  );
}

function Account() {
  const who = identity.value;
  return (
    <details class="account">
      <summary>{[who?.person, who?.name, "Account"].find((name) => name)}</summary>
      <div class="panel">
        <p>
          <strong>{who?.name}</strong>
          <br />
          <span class="soft">{(who?.roles ?? []).join(", ")}</span>
        </p>
        <label>
          Colours
          <select
            value={theme.value}
            onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}
          >
            {THEMES.map((one) => (
              <option key={one} value={one}>
                {words(one)}
              </option>
            ))}
          </select>
        </label>
        {who?.kind !== "development" && (
          <button type="button" onClick={signOut}>
            Sign out
          </button>
        )}
      </div>
    </details>
  );
}
