// Package api is the one door through which people and programs manage an
// instance: gRPC, gRPC-Web, Connect and REST with JSON, all on one
// http.Handler, from the sources in proto/.
//
// It promises: nobody unauthenticated reaches a service, whatever the
// protocol, and their messages are not even read; every error is a
// connect.Error with a munimentv1.Fault as its detail, or a problem document
// (RFC 9457) over REST; requests are bounded in size and time; what is unknown
// in JSON or in a query is refused by name; a panic becomes an Internal error;
// each change has a command id. An error of the transport itself (a message
// that cannot be decoded) has a code and a message but no detail over RPC.
//
// It does not decide what a caller may do: each service does, on facts.
//
// REST is a small transcoder of our own (docs/adr/0003): the google.api.http
// annotations say which method a path means, and its implementation is called
// with what stands around every call; streams go through the same handler as
// over RPC, in process.
package api
