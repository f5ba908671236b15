package console

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
)

// upload posts a form with files, each a name and what is in it.
func (v *visitor) upload(path string, pairs []string, files ...string) *visitor {
	v.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, m := range hidden.FindAllStringSubmatch(v.body, -1) {
		form.WriteField(m[1], m[2])
	}
	for i := 0; i < len(pairs); i += 2 {
		form.WriteField(pairs[i], pairs[i+1])
	}
	for i := 0; i < len(files); i += 2 {
		w, _ := form.CreateFormFile("files", files[i])
		io.WriteString(w, files[i+1])
	}
	form.Close()
	r, _ := http.NewRequest("POST", v.base+path, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return v.do(r)
}
