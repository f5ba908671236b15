package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// AssetPath is where the assets stand; see [Site.Assets].
const AssetPath = "/assets/"

// styleSheets are joined into one style.css, in this order.
const styleSheets = "base.css form.css table.css frame.css record.css print.css"

// asset is one file as served.
type asset struct {
	body []byte
	kind string
	etag string
}

// assets are all files by address and the addresses by name. It never changes
// after loading.
type assets struct {
	byPath map[string]asset
	paths  map[string]string // "seal.svg" → "/assets/seal.3f2a9c1e0b7d.svg"
}

func loadAssets() (*assets, error) {
	a := &assets{byPath: map[string]asset{}, paths: map[string]string{}}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	var style bytes.Buffer
	for _, name := range strings.Fields(styleSheets) {
		b, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		style.Write(b)
	}
	// The style sheet names images; they get their hashed addresses first.
	for _, e := range entries {
		if ext := path.Ext(e.Name()); ext == ".css" || e.Name() == "icons.svg" {
			continue
		}
		b, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		a.add(e.Name(), b)
	}
	css := style.String()
	for name, p := range a.paths {
		css = strings.ReplaceAll(css, `url("`+name+`")`, `url("`+p+`")`)
	}
	a.add("style.css", []byte(css))
	return a, nil
}

// add stores a file under an address that changes whenever its content does.
func (a *assets) add(name string, b []byte) {
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:6])
	ext := path.Ext(name)
	p := AssetPath + strings.TrimSuffix(name, ext) + "." + hash + ext
	kind := mime.TypeByExtension(ext)
	switch ext { // the machine's own table may lack or change them
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	a.byPath[p] = asset{body: b, kind: kind, etag: `"` + hash + `"`}
	a.paths[name] = p
}

// Assets serves the embedded files below [AssetPath], for ever cacheable. An
// address with an old hash is not found: it would be cached with new content.
func (s *Site) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secure(w.Header())
		f, ok := s.assets.byPath[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "assets are only read", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Etag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Length", fmt.Sprint(len(f.body)))
		if r.Method == http.MethodGet {
			w.Write(f.body)
		}
	})
}

// Asset returns the address of an embedded file by its name.
func (s *Site) Asset(name string) (string, error) {
	p, ok := s.assets.paths[name]
	if !ok {
		return "", fmt.Errorf("page: no asset %q", name)
	}
	return p, nil
}

// loadIcons reads the symbols of icons.svg: id → its shapes.
func loadIcons() (map[string]template.HTML, error) {
	b, err := fs.ReadFile(assetFiles, "assets/icons.svg")
	if err != nil {
		return nil, err
	}
	var sheet struct {
		Symbols []struct {
			ID     string `xml:"id,attr"`
			Shapes string `xml:",innerxml"`
		} `xml:"symbol"`
	}
	if err := xml.Unmarshal(b, &sheet); err != nil {
		return nil, err
	}
	icons := make(map[string]template.HTML, len(sheet.Symbols))
	for _, sy := range sheet.Symbols {
		icons[sy.ID] = template.HTML(`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">` +
			strings.TrimSpace(sy.Shapes) + `</svg>`)
	}
	return icons, nil
}
