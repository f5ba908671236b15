package audit

import "testing"

// What a value says cannot change how the sentence around it reads.
func TestVisible(t *testing.T) {
	for said, want := range map[string]string{"Lovelace": "Lovelace", "מִקְדָּשׁ": "מִקְדָּשׁ", "a\u202eexe.b": "a�exe.b", "a\u2066b": "a�b", "a\nb\x1b[2J": "a�b�[2J"} {
		if got := visible(said); got != want {
			t.Errorf("%q is shown as %q", said, got)
		}
	}
}
