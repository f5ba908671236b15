package api

//go:generate go -C ../tools run ./protogen ../api/proto ../api/gen
