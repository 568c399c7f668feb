/** Pages are loaded when they are shown first. */
import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../api/errors";
import { ErrorBox, Progress } from "./feedback";
import { asApiError } from "./remote";

export interface PageModule {
  readonly default: FunctionComponent;
}

export function lazyPage(load: () => Promise<PageModule>): FunctionComponent {
  let loaded: FunctionComponent | undefined;
  return function LazyPage() {
    const [Page, setPage] = useState<FunctionComponent | undefined>(() => loaded);
    const [error, setError] = useState<ApiError | undefined>(undefined);
    const fetchPage = () => {
      setError(undefined);
      load().then(
        (module) => {
          loaded = module.default;
          setPage(() => loaded);
        },
        (cause: unknown) => setError(asApiError(cause)),
      );
    };
    useEffect(() => {
      if (Page === undefined) fetchPage();
    }, []);
    if (error !== undefined) return <ErrorBox error={error} retry={fetchPage} />;
    return Page === undefined ? <Progress /> : <Page />;
  };
}
