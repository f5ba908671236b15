package api

//go:generate go -C ../tools run ./protogen ../api/proto ../api/gen
//go:generate go run ./openapi gen/descriptors.binpb gen/openapi.json gen/reference.html
