package ledger

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is what a FileRegister needs of a file system. Tests put one in its
// place that crashes.
type disk interface {
	// Lock waits for and takes the lock that the file stands for.
	Lock(name string) (io.Closer, error)
	ReadFile(name string) ([]byte, error)
	// WriteFile makes or replaces a file (mode 0600) and syncs its bytes.
	WriteFile(name string, b []byte) error
	// Rename renames within a folder, and Remove removes; both sync the folder.
	Rename(old, new string) error
	Remove(name string) error
}

type osDisk struct{}

func (osDisk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil // closing it releases the lock
}

func (osDisk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (osDisk) WriteFile(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osDisk) Rename(old, new string) error {
	if err := os.Rename(old, new); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(new))
}

func (osDisk) Remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(filepath.Dir(name))
}
