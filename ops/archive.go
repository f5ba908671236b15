package ops

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// A backup file is a tar archive: first the manifest, then the files, last the
// sums of all before, in the form of sha256sum. A file without its last entry
// is one that was cut short. The log and the keys are files of their own.
const (
	archiveFormat = "muniment.dev/backup/v1"
	manifestName  = "manifest.json"
	sumsName      = "SHA256SUMS"
)

// A file of keys holds one stream of them (package seal), which goes into either
// kind of key database. Those of before held a SQLite file.
const (
	keysName    = "keys"
	oldKeysName = "keys.db"
)

// What a backup file holds.
const (
	HoldsLog  = "log"
	HoldsKeys = "keys"
)

// Manifest says what is in a backup file.
type Manifest struct {
	Format     string         `json:"format"`
	Holds      string         `json:"holds"` // HoldsLog or HoldsKeys
	Made       time.Time      `json:"made"`  // by the operator's clock
	Log        event.LogID    `json:"log"`
	Size       event.Position `json:"size"` // of the log; of a file of keys: of the log that they belong to
	Root       tlog.Hash      `json:"root"`
	Term       uint64         `json:"term"`
	Checkpoint string         `json:"checkpoint,omitempty"` // the newest signed one in the log
	Register   string         `json:"register"`             // what it said before the log was copied
	Bytes      int64          `json:"bytes"`                // of the files, for progress
}

// Moved says how many bytes of a backup were written or read so far.
type Moved func(done, of int64)

// archiver writes a backup file.
type archiver struct {
	ctx   context.Context
	tar   *tar.Writer
	made  time.Time
	sums  bytes.Buffer
	done  int64
	of    int64
	moved Moved
}

// newArchiver begins a backup file with its manifest.
func newArchiver(ctx context.Context, w io.Writer, m Manifest, moved Moved) (*archiver, error) {
	if moved == nil {
		moved = func(int64, int64) {}
	}
	a := &archiver{ctx: ctx, tar: tar.NewWriter(w), made: m.Made, of: m.Bytes, moved: moved}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	a.of += int64(len(b))
	return a, a.add(manifestName, int64(len(b)), bytes.NewReader(b))
}

// add adds a file of a size that is known. One that grows meanwhile is cut.
func (a *archiver) add(name string, size int64, r io.Reader) error {
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.made, Format: tar.FormatPAX}
	h.ModTime = h.ModTime.Truncate(time.Second)
	if err := a.tar.WriteHeader(&h); err != nil {
		return writeFault(err)
	}
	sum := sha256.New()
	n, err := io.Copy(a.tar, io.TeeReader(io.LimitReader(metered{a.ctx, r, a.count}, size), sum))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return writeFault(err)
	}
	fmt.Fprintf(&a.sums, "%x  %s\n", sum.Sum(nil), name)
	return nil
}

func (a *archiver) count(n int) {
	a.done += int64(n)
	a.moved(a.done, a.of)
}

// close ends the file with its sums, which it returns: what the file must have.
func (a *archiver) close() ([]byte, error) {
	sums := bytes.Clone(a.sums.Bytes())
	if err := a.add(sumsName, int64(len(sums)), bytes.NewReader(sums)); err != nil {
		return nil, err
	}
	return sums, writeFault(a.tar.Close())
}

func writeFault(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "write the backup", Msg: "the backup could not be written; is there room?", Err: err}
}

// metered reads until a context ends, and tells how much.
type metered struct {
	ctx   context.Context
	r     io.Reader
	count func(int)
}

// Read implements io.Reader.
func (c metered) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.count(n)
	return n, err
}

var errNoArchive = fault.New(fault.Invalid, "this is no backup that Muniment made")

// maxEntries bounds the files of a backup, maxManifest the bytes of what is read
// into memory.
const (
	maxEntries  = 1 << 20
	maxManifest = 64 << 10
)

// readArchive reads a backup file to its end: it gives each file to use, which
// need not read it, and then compares everything with the sums. Only when it
// returns no error is what use was given whole.
func readArchive(ctx context.Context, r io.Reader, moved Moved, use func(m Manifest, name string, r io.Reader) error) (m Manifest, sums []byte, err error) {
	if moved == nil {
		moved = func(int64, int64) {}
	}
	done := int64(0)
	in := tar.NewReader(metered{ctx, r, func(n int) { done += int64(n); moved(min(done, m.Bytes), m.Bytes) }})
	var seen bytes.Buffer
	for range maxEntries {
		h, err := in.Next()
		if err != nil {
			return m, nil, damaged(ctx, err, seen.Len() > 0)
		}
		if err := checkHeader(h, seen.Len() == 0); err != nil {
			return m, nil, err
		}
		if h.Name == sumsName {
			sums, err = io.ReadAll(in)
			if err == nil {
				_, err = io.Copy(io.Discard, r) // the padding, and what else there is
			}
			if err != nil {
				return m, nil, damaged(ctx, err, true)
			}
			if !bytes.Equal(sums, seen.Bytes()) {
				return m, nil, fault.New(fault.Corrupt, "the backup is damaged: its files are not those that were written")
			}
			return m, sums, nil
		}
		sum := sha256.New()
		err = readEntry(&m, h, io.TeeReader(in, sum), use)
		if err == nil {
			_, err = io.Copy(sum, in) // what was not wanted
		}
		if err != nil {
			return m, nil, damaged(ctx, err, true)
		}
		writeSum(&seen, sum, h.Name)
	}
	return m, nil, errNoArchive
}

func writeSum(to *bytes.Buffer, sum hash.Hash, name string) {
	to.WriteString(hex.EncodeToString(sum.Sum(nil)) + "  " + name + "\n")
}

// readEntry takes the manifest, and gives everything else to use.
func readEntry(m *Manifest, h *tar.Header, r io.Reader, use func(Manifest, string, io.Reader) error) error {
	if h.Name != manifestName {
		return use(*m, h.Name, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if json.Unmarshal(b, m) != nil || m.Format != archiveFormat || m.Holds != HoldsLog && m.Holds != HoldsKeys || m.Log.IsZero() {
		return fault.New(fault.Invalid, "the backup is of a format that this version does not know")
	}
	return nil
}

// checkHeader accepts the plain files that an archiver writes, in its order.
func checkHeader(h *tar.Header, first bool) error {
	parts := strings.Split(h.Name, "/")
	ok := h.Typeflag == tar.TypeReg && path.Clean(h.Name) == h.Name && len(h.Name) < 256 && !strings.ContainsAny(h.Name, "\\:\n") &&
		(len(parts) == 1 || len(parts) == 2) && !strings.Contains(h.Name, "..") && h.Name != "." && parts[0] != ""
	small := h.Name != manifestName && h.Name != sumsName || h.Size <= maxManifest || h.Name == sumsName && h.Size < maxEntries*256
	if !ok || !small || first != (h.Name == manifestName) {
		return errNoArchive
	}
	return nil
}

// damaged names what keeps a backup from being read.
func damaged(ctx context.Context, err error, begun bool) error {
	var f *fault.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &f):
		return err
	case !begun:
		return &fault.Error{Kind: fault.Invalid, Msg: errNoArchive.Msg, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &fault.Error{Kind: fault.Corrupt, Msg: "the backup was cut short", Err: err}
	}
	return &fault.Error{Kind: fault.Corrupt, Msg: "the backup cannot be read to its end", Err: err}
}
