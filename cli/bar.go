package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows on a terminal how much of something is done. Elsewhere it writes
// nothing: what it says is gone when it is read.
type bar struct {
	w     io.Writer // nil: no terminal
	drawn time.Time // when it was drawn last; zero: it is not to be seen
	began time.Time
}

func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok {
		return &bar{}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &bar{}
	}
	return &bar{w: w, began: time.Now()}
}

// often is how often the bar is drawn at most.
const often = time.Second / 10

func (b *bar) draw(done, of uint64) {
	if b.w == nil || of == 0 || time.Since(b.drawn) < often {
		return
	}
	b.drawn = time.Now()
	fmt.Fprint(b.w, "\r", picture(done, of, time.Since(b.began)))
}

// clear takes the bar off the terminal.
func (b *bar) clear() {
	if b.w != nil && !b.drawn.IsZero() {
		fmt.Fprint(b.w, "\r", strings.Repeat(" ", barWidth), "\r")
		b.drawn = time.Time{}
	}
}

const barWidth = 60

// picture is the bar, always as wide.
func picture(done, of uint64, took time.Duration) string {
	const cells = 32
	share := min(1, float64(done)/float64(of))
	full := int(share * cells)
	left := ""
	if share > 0 && share < 1 && took >= time.Second {
		left = (time.Duration(float64(took) * (1 - share) / share)).Round(time.Second).String() + " left"
	}
	return fmt.Sprintf("%-*s", barWidth, fmt.Sprintf("[%s%s] %3d %%  %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), int(share*100), left))
}
