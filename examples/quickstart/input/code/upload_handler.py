"""A small upload page: lists the files of a user and stores new ones under the account folder."""

import json
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STORAGE = Path("/srv/uploads")
ALLOWED = {".png", ".jpg", ".pdf"}
log = logging.getLogger("uploads")


class UploadHandler(BaseHTTPRequestHandler):
    """Answers GET with the list of files and PUT by saving the request body."""

    def do_GET(self) -> None:
        """Sends the names of the stored files as JSON, or the login page for guests."""
        account = self.session_account()
        if account is None:
            self.redirect("/login")
            return
        files = sorted(entry.name for entry in (STORAGE / account).iterdir())
        self.send_json({"account": account, "files": files})

    def do_PUT(self) -> None:
        """Saves an uploaded file; refuses names with folders and types that are not allowed."""
        account = self.session_account()
        name = Path(self.path).name
        if account is None:
            self.send_error(HTTPStatus.UNAUTHORIZED, "please log in")
        elif Path(name).suffix not in ALLOWED:
            self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only images and documents")
        else:
            length = int(self.headers.get("Content-Length", "0"))
            (STORAGE / account / name).write_bytes(self.rfile.read(length))
            log.info("stored %s for %s", name, account)
            self.send_json({"stored": name})

    def session_account(self) -> str | None:
        """The account named by the session cookie, or None when nobody is logged in."""
        cookie = self.headers.get("Cookie", "")
        return dict(part.split("=", 1) for part in cookie.split("; ") if "=" in part).get("account")

    def redirect(self, target: str) -> None:
        """Sends the browser to another page."""
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", target)
        self.end_headers()

    def send_json(self, payload: dict) -> None:
        """Writes a JSON response with its headers."""
        body = json.dumps(payload).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    ThreadingHTTPServer(("localhost", 8080), UploadHandler).serve_forever()
