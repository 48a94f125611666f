// Package demo serves the demo page, a messenger in the browser built from client/js/demo, and at
// /docs the reference of the API, made by client/js/scripts/docs.mjs. The built files are embedded,
// so that a fresh clone shows the pages with Go alone.
//
// The page gets everything from its own server, and its Content-Security-Policy allows nothing
// else. With a secret, as in `serve --dev`, it also gets tokens of a few demo users from
// [TokenPath], which answers only the page itself, on a loopback connection.
package demo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

//go:embed all:dist docs
var built embed.FS

// Paths of the page. Assets have the hash of their content in their names.
const (
	TokenPath  = "/demo/token"
	UsersPath  = "/demo/users" // says whose tokens TokenPath gives
	assetsPath = "/assets/"
	docsPath   = "/docs"
)

// documents are the files of the reference, by path.
var documents = map[string]string{
	docsPath:                "docs/index.html",
	docsPath + "/realtime":  "docs/realtime.html",
	docsPath + "/guide":     "docs/guide.html",
	docsPath + "/style.css": "docs/style.css",
}

// Users are the people who may use the page without a token of their own.
var Users = []chat.UserID{"alice", "bob", "carol"}

// Page is the demo page, and the reference of the API. They never change.
type Page struct {
	files  map[string]file // by path
	secret []byte
	now    func() time.Time
}

// file is one of the page's, as it is sent.
type file struct {
	contentType string
	plain       []byte
	zipped      func() []byte // nil if it gets no smaller; made when it is asked for first, as it takes a while
	tag         string
}

// New prepares the page. The secret signs the tokens of the demo users; without one the page
// asks for tokens.
func New(secret []byte, now func() time.Time) (*Page, error) {
	p := &Page{files: make(map[string]file), secret: secret, now: now}
	err := fs.WalkDir(built, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return p.add(strings.TrimPrefix(name, "dist"), name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the demo page: %w", err)
	}
	p.files["/"] = p.files["/index.html"]
	delete(p.files, "/index.html")
	for at, name := range documents {
		if err := p.add(at, name); err != nil {
			return nil, err
		}
	}
	for name, content := range map[string][]byte{"/openapi.yaml": contracts.OpenAPI, "/asyncapi.yaml": contracts.AsyncAPI} {
		p.files[docsPath+name] = newFile(name, content)
	}
	return p, nil
}

// add serves an embedded file at a path.
func (p *Page) add(at, name string) error {
	content, err := built.ReadFile(name)
	if err != nil {
		return err
	}
	p.files[at] = newFile(name, content)
	return nil
}

func newFile(name string, content []byte) file {
	sum := sha256.Sum256(content)
	f := file{
		contentType: contentTypes[path.Ext(name)],
		plain:       content,
		zipped:      sync.OnceValue(func() []byte { return zip(content) }),
		tag:         `"` + hex.EncodeToString(sum[:8]) + `"`,
	}
	if f.contentType == "" {
		f.contentType = mime.TypeByExtension(path.Ext(name))
	}
	return f
}

// zip compresses a file, or returns nil if that makes it no smaller.
func zip(content []byte) []byte {
	var zipped bytes.Buffer
	w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is one
	_, _ = w.Write(content)                                    // a buffer takes all
	_ = w.Close()
	if zipped.Len() >= len(content) {
		return nil
	}
	return zipped.Bytes()
}

// contentTypes are the same on every machine, unlike those of the system's list.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".yaml": "text/plain; charset=utf-8", // which a browser shows
}

// Routes calls add for each route of the page.
func (p *Page) Routes(add func(method, path string, handle fiber.Handler)) {
	for _, method := range []string{fiber.MethodGet, fiber.MethodHead} {
		add(method, "/", p.serve)
		add(method, assetsPath+"*", p.serve)
		add(method, docsPath, p.serve)
		add(method, docsPath+"/*", p.serve)
	}
	add(fiber.MethodGet, UsersPath, p.users)
	if p.secret != nil {
		add(fiber.MethodPost, TokenPath, p.token)
	}
}

// policy lets the page load and reach what is of its own origin, and nobody frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsPolicy is that of the reference, which has no script.
const docsPolicy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (p *Page) serve(c *fiber.Ctx) error {
	f, found := p.files[c.Path()]
	if !found {
		return chat.Refuse(contracts.CodeNotFound, "there is no such file")
	}
	c.Set(fiber.HeaderContentSecurityPolicy, policy)
	if strings.HasPrefix(c.Path(), docsPath) {
		c.Set(fiber.HeaderContentSecurityPolicy, docsPolicy)
	}
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set(fiber.HeaderETag, f.tag)
	c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	if strings.HasPrefix(c.Path(), assetsPath) {
		c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	} else {
		c.Set(fiber.HeaderCacheControl, "no-cache")
	}
	if c.Get(fiber.HeaderIfNoneMatch) == f.tag {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, f.contentType)
	if strings.Contains(c.Get(fiber.HeaderAcceptEncoding), "gzip") {
		if zipped := f.zipped(); zipped != nil {
			c.Set(fiber.HeaderContentEncoding, "gzip")
			return c.Send(zipped)
		}
	}
	return c.Send(f.plain)
}

// tokenLife is short enough for a visitor to see how a page renews its token.
const tokenLife = 15 * time.Minute

// users answers with those whom the page needs to ask for no token: none without a secret.
func (p *Page) users(c *fiber.Ctx) error {
	users := Users
	if p.secret == nil {
		users = []chat.UserID{}
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(fiber.Map{"users": users})
}

// token answers with a token of a demo user.
func (p *Page) token(c *fiber.Ctx) error {
	if !asksItself(c) {
		return chat.Refuse(contracts.CodeNotFound, "this is for the demo page on the same machine")
	}
	user := chat.UserID(c.Query("user"))
	if !slices.Contains(Users, user) {
		return chat.Refuse(chat.CodeInvalidRequest, "user is none of the demo's")
	}
	now := p.now()
	token, err := auth.Mint(p.secret, auth.Claims{
		User: user, Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}, Issued: now, Expires: now.Add(tokenLife),
	})
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"token": token})
}
