package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// store is the file that keeps the access tokens of login: for the user alone.
type store struct {
	path    string
	Last    string             `json:"last"`    // address of the server signed in to last
	Servers map[string]session `json:"servers"` // by address
}

type session struct {
	AccessToken string    `json:"access_token"`
	Expires     time.Time `json:"expires"`
}

// openStore reads the file; a missing one is empty. A file that others can
// read is refused: what is in it may be known already.
func openStore(env Env) (*store, error) {
	dir := env.ConfigDir
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			base = "." // no home: then there is nothing stored either
		}
		dir = filepath.Join(base, "muniment")
	}
	s := &store{path: filepath.Join(dir, "credentials.json")}
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others; sign out, remove the file and sign in again", s.path)
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s is damaged; remove it and sign in again", s.path)
	}
	return s, nil
}

// token answers the access token for a server; empty if there is none or it
// has expired.
func (s *store) token(server string) string {
	t, ok := s.Servers[server]
	if !ok || !time.Now().Before(t.Expires) {
		return ""
	}
	return t.AccessToken
}

// save writes the file anew, whole or not at all.
func (s *store) save() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "credentials-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // there only if something failed
	if _, err = f.Write(append(b, '\n')); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path)
}
