package view

import (
	"context"
	"errors"
	"os"

	"muniment.dev/event"
	"muniment.dev/fault"
)

// Standing is what the views in a backend say of themselves.
type Standing struct {
	Log      event.LogID
	Position event.Position  // what they contain
	Views    map[string]bool // by name: whether it is as it is declared now
	// Epochs are those of the views that differ in nothing else from what is
	// declared now, by name.
	Epochs map[string]uint64
}

// Inspect reads what the views of a backend are, without following a log or
// changing anything. fault.NotFound: there are none. fault.Corrupt: they are
// none of ours, or damaged, and will be made again from the log.
func Inspect(ctx context.Context, in Backend, declared []View) (Standing, error) {
	const op = "look at the views"
	at, prints, err := in.glance(ctx)
	if err != nil {
		return Standing{}, fault.Wrap(op, err)
	}
	out := Standing{Log: at.log, Position: at.position, Views: map[string]bool{}, Epochs: map[string]uint64{}}
	for i := range declared {
		v := &declared[i]
		print := prints[v.Name]
		out.Views[v.Name] = print == v.fingerprint()
		then := *v
		if then.Epoch = epochOf(print); then.fingerprint() == print {
			out.Epochs[v.Name] = then.Epoch
		}
	}
	return out, nil
}

func (f File) glance(context.Context) (place, map[string]string, error) {
	if _, err := os.Stat(string(f)); errors.Is(err, os.ErrNotExist) {
		return place{}, nil, fault.New(fault.NotFound, "there is no file of views; the server makes it from the log")
	}
	at, prints, ours, err := f.survey()
	if code := sqliteCode(err); err == nil && !ours || code == codeNotADB || code == codeCorrupt || fault.Is(err, fault.Corrupt) {
		err = &fault.Error{Kind: fault.Corrupt, Msg: "the file of views cannot be used; the server makes it again from the log", Err: err}
	}
	return at, prints, err
}

func (f File) survey() (at place, prints map[string]string, ours bool, err error) {
	w, err := connect(string(f), reading...)
	if err != nil {
		return at, nil, false, err
	}
	defer w.close()
	return (&file{}).survey(w)
}
