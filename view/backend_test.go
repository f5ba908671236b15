package view_test

import (
	"path/filepath"
	"testing"

	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// stored is where views outlive their set.
func stored(t testing.TB) view.Backend { return view.File(filepath.Join(t.TempDir(), "views.db")) }

// passing is where views need not outlive their set.
func passing(t testing.TB) view.Backend { return view.File("") }

func newLog(t testing.TB) *viewtest.Log { return viewtest.New(t, events()) }
