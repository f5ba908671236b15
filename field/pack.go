package field

import (
	"embed"
	"io/fs"
)

// TypeResolveDuplicate is the event type of the pack by which a person says
// whether two individuals are the same.
const TypeResolveDuplicate = "resolve-duplicate"

//go:embed pack/*.json
var pack embed.FS

// Pack are ready-made definitions of individuals and groups: documents as
// `muniment schema apply` takes them, by their file names. They are a
// beginning: a copy in a folder of one's own can be changed and added to.
func Pack() (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(pack, "pack", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := pack.ReadFile(path)
		out["field-"+d.Name()] = string(text)
		return err
	})
	return out, err
}
