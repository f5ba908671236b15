// Package api is the one door through which people and programs manage an
// instance: gRPC, gRPC-Web, Connect and REST with JSON, all on one
// http.Handler, from the sources in proto/.
package api
