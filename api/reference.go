package api

import "net/http"

func serveReference(w http.ResponseWriter, r *http.Request) bool { return false }
