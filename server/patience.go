package server

import (
	"net/http"
	"time"
)

// patience is how long a client may take to read what one write gives it.
const patience = 2 * time.Minute

// patient gives every write a deadline of its own: streams may go on for as long
// as somebody reads them, and whoever asks and does not read is let go.
func patient(patience time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patientWriter{w, http.NewResponseController(w), patience}
		defer p.extend() // what ends the answer is written when the handler is done
		next.ServeHTTP(p, r)
	})
}

type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	time    time.Duration
}

func (w *patientWriter) extend() {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.time)) // not all writers know deadlines
}

// Write implements io.Writer.
func (w *patientWriter) Write(b []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (w *patientWriter) Flush() {
	w.extend()
	_ = w.control.Flush() // as http.Flusher has it: nobody to tell
}

// Unwrap gives http.ResponseController the writer below.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
