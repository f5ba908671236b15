package fleet

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// What instances cost that are open and have nothing to do, beside the first:
// resident memory, open files, room on the disk, and the time to open them all
// again. It is for docs/benchmarks.md and runs if MUNIMENT_SIZES says so.
func TestSizes(t *testing.T) {
	if os.Getenv("MUNIMENT_SIZES") == "" {
		t.Skip("MUNIMENT_SIZES is not set")
	}
	w := newWorld(t)
	n := 0
	for _, upto := range []int{0, 1, 10, 50, 100} {
		for ; n < upto; n++ {
			req := w.request("T" + strconv.Itoa(n))
			req.CommandId = ""
			must[*munimentv1.CreateHostedInstanceResponse](t)(w.home.API.Hosted.CreateHostedInstance(w.as(), req))
		}
		w.restart()
		began := time.Now()
		for _, s := range w.all() {
			w.inner(s.id.String())
		}
		took := time.Since(began)
		debug.FreeOSMemory()
		files, _ := os.ReadDir("/proc/self/fd")
		was, since := processor(t), time.Now()
		time.Sleep(5 * time.Second)
		t.Logf("%3d hosted: %4d MiB resident, %4d files, opened within %s, %.1f %% of a core", n, resident(t)>>20, len(files), took.Round(time.Millisecond),
			100*float64(processor(t)-was)/float64(time.Since(since)))
	}
}

// processor is how much time of processors the process has had.
func processor(t *testing.T) time.Duration {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("this system does not tell")
	}
	var sum int64
	for _, task := range tasks {
		if b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/schedstat"); err == nil {
			n, _ := strconv.ParseInt(string(bytes.Fields(b)[0]), 10, 64)
			sum += n
		}
	}
	return time.Duration(sum)
}

// resident is how much memory of the process is in RAM, as Linux counts it.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("this system does not tell")
	}
	pages, _ := strconv.Atoi(string(bytes.Fields(b)[1]))
	return pages * os.Getpagesize()
}
