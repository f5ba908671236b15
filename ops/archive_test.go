package ops

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
)

// Whatever a backup file holds: only what an archiver wrote is accepted, no name
// leads out of the folder that it is unpacked to, and nothing panics.
func FuzzReadArchive(f *testing.F) {
	var good bytes.Buffer
	a, err := newArchiver(f.Context(), &good, Manifest{Format: archiveFormat, Holds: HoldsLog, Made: time.Unix(1e9, 0), Log: event.LogID{ID: event.NewID()}, Bytes: 3}, nil)
	if err == nil {
		err = a.add("log/000001.sst", 3, strings.NewReader("abc"))
	}
	if err == nil {
		_, err = a.close()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(bytes.ReplaceAll(good.Bytes(), []byte("log/000001"), []byte("log/../../")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, sums, err := readArchive(t.Context(), bytes.NewReader(b), nil, func(m Manifest, name string, in io.Reader) error {
			if strings.Contains(name, "..") || strings.HasPrefix(name, "/") || m.Format != archiveFormat {
				t.Errorf("%q is unpacked", name)
			}
			_, err := io.Copy(io.Discard, in)
			return err
		})
		if err == nil && len(sums) == 0 {
			t.Error("accepted without sums")
		}
	})
}
