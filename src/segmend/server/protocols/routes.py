"""Routes of dialects whose clients show a refusal's sentence to their person, with the statuses that they know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from segmend.errors import ForbiddenError, LimitError, NotFoundError, UserError
from segmend.server.protocols.visits import FullError, LeaseError
from segmend.server.replies import problem


class ToldRoute(APIRoute):
    """A route that tells why it refuses: 404 for what is gone, 403, 503 when there is no room, 413 and 400."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_and_tell(request: Request) -> Response:
            told = request.app.state.shared.told
            try:
                return await handle(request)
            except (LeaseError, NotFoundError) as error:
                return problem(404, told(error))
            except FullError as error:
                return JSONResponse({"detail": told(error)}, 503, {"Retry-After": "10"})
            except LimitError as error:
                return problem(413, told(error))
            except ForbiddenError as error:
                return problem(403, told(error))
            except UserError as error:
                return problem(400, told(error))

        return handle_and_tell
