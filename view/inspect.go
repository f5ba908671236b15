package view

import (
	"errors"
	"os"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// File is what a file of views says of itself.
type File struct {
	Log      event.LogID
	Position event.Position  // what it contains
	Views    map[string]bool // by name: whether it is as it is declared now
}

// Inspect reads what a file of views is, without following a log or changing
// anything. fault.NotFound: there is no file. fault.Corrupt: it is none of ours,
// or damaged, and will be made again from the log.
func Inspect(path string, declared []View) (File, error) {
	const op = "look at the file of views"
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return File{}, fault.New(fault.NotFound, "there is no file of views; the server makes it from the log")
	}
	d, prints, ours, err := glance(path)
	if d != nil {
		defer d.close()
	}
	if code := sqliteCode(err); err == nil && !ours || code == codeNotADB || code == codeCorrupt || fault.Is(err, fault.Corrupt) {
		return File{}, &fault.Error{Kind: fault.Corrupt, Op: op, Msg: "the file of views cannot be used; the server makes it again from the log", Err: err}
	}
	if err != nil {
		return File{}, fault.Wrap(op, err)
	}
	f := File{Log: d.at.log, Position: d.at.position, Views: map[string]bool{}}
	for i := range declared {
		v := &declared[i]
		f.Views[v.Name] = prints[v.Name] == v.fingerprint()
	}
	return f, nil
}

func glance(path string) (d *database, prints map[string]string, ours bool, err error) {
	c, err := connect(path, reading...)
	if err != nil {
		return nil, nil, false, err
	}
	d = &database{path: path, w: c}
	prints, ours, err = d.inspect()
	return d, prints, ours, err
}
