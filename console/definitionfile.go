package console

import (
	"encoding/base64"
	"io"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// moduleFile is a WebAssembly module that was chosen. The form carries it from
// the plan to its application, because browsers forget chosen files.
type moduleFile struct {
	Name string
	Code []byte
}

// Text is what the form carries.
func (m moduleFile) Text() string {
	return m.Name + ":" + base64.StdEncoding.EncodeToString(m.Code)
}

// modules are the modules for a request.
func (f *definitionForm) modules() []*munimentv1.SchemaModule {
	var out []*munimentv1.SchemaModule
	for _, m := range f.Modules {
		out = append(out, &munimentv1.SchemaModule{Name: m.Name, Code: m.Code})
	}
	return out
}

// readFiles adds what was chosen: documents behind those that were typed, and
// modules, with those that the form carries.
func (v *visit) readFiles(f *definitionForm) error {
	for _, text := range v.r.PostForm["module"] {
		name, code, _ := strings.Cut(text, ":")
		raw, err := base64.StdEncoding.DecodeString(code)
		if err != nil {
			return fault.Field("files", "a module cannot be read; choose it again")
		}
		f.take(moduleFile{name, raw})
	}
	if v.r.MultipartForm == nil {
		return nil
	}
	for _, h := range v.r.MultipartForm.File["files"] {
		file, err := h.Open()
		if err != nil {
			return fault.Wrap("open a file of a form", err)
		}
		raw, err := io.ReadAll(file)
		file.Close()
		if err != nil {
			return fault.Wrap("read a file of a form", err)
		}
		switch name := h.Filename; {
		case h.Filename == "" && len(raw) == 0: // none was chosen
		case strings.HasSuffix(name, ".wasm"):
			f.take(moduleFile{strings.TrimSuffix(name, ".wasm"), raw})
		case strings.HasSuffix(name, ".json"):
			f.Text = strings.TrimSpace(f.Text + "\n" + string(raw))
		default:
			return fault.Field("files", "documents end with .json, modules with .wasm; another file was chosen")
		}
	}
	return nil
}

// take adds a module, in place of one with its name.
func (f *definitionForm) take(m moduleFile) {
	for i := range f.Modules {
		if f.Modules[i].Name == m.Name {
			f.Modules[i] = m
			return
		}
	}
	f.Modules = append(f.Modules, m)
}
