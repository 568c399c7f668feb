import { PAGES } from "./pages";
import { location } from "./router";
import { identity } from "./session";
import { Shell } from "./shell";
import { SignIn } from "./sign_in";
import { Notices } from "./ui/feedback";
import { lazyPage } from "./ui/lazy_page";

const VIEWS = new Map(PAGES.map((page) => [page.path, lazyPage(page.load)]));

export function App() {
  if (identity.value === undefined) return <SignIn />;
  const path = location.value.parts[0] ?? "";
  const page = PAGES.find((one) => one.path === path);
  const View = VIEWS.get(path);
  return (
    <>
      <Shell current={path}>
        {page === undefined || View === undefined ? (
          <NotFound />
        ) : page.needs() ? (
          <View />
        ) : (
          <NotOffered title={page.title} />
        )}
      </Shell>
      <Notices />
    </>
  );
}

function NotFound() {
  return (
    <>
      <h1>No such page</h1>
      <p>
        The address names no page of the console. <a href="#/">Go to the overview</a>.
      </p>
    </>
  );
}

function NotOffered({ title }: { title: string }) {
  return (
    <>
      <h1>{title}</h1>
      <p>Your role does not include what this page does. An admin can give you another key.</p>
    </>
  );
}
