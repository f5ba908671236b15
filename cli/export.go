package cli

import (
	"context"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// chunk is the field of a stream's messages that holds a part of a file; nil if
// the stream is none of a file.
func chunk(m protoreflect.MethodDescriptor) protoreflect.FieldDescriptor {
	return m.Output().Fields().ByName("chunk")
}

// download writes a file that comes in parts to the standard output, and says
// on the other whether all of it came: what is missing of a file must not go
// unnoticed.
func (c *command) download(ctx context.Context, env Env, call *connect.Client[dynamicpb.Message, dynamicpb.Message], l *line) error {
	stream, err := call.CallServerStream(ctx, connect.NewRequest(l.msg))
	if err != nil {
		return err
	}
	defer stream.Close()
	var count, position uint64
	complete := false
	show := newBar(env.Stderr)
	defer show.clear()
	for stream.Receive() {
		m := stream.Msg().ProtoReflect()
		if _, err := env.Stdout.Write(m.Get(chunk(c.method)).Bytes()); err != nil {
			return err
		}
		fields := m.Descriptor().Fields()
		count, position = m.Get(fields.ByName("count")).Uint(), m.Get(fields.ByName("position")).Uint()
		complete = m.Get(fields.ByName("complete")).Bool()
		show.draw(done(m))
	}
	show.clear()
	if complete && stream.Err() == nil {
		fmt.Fprintf(env.Stderr, "%s up to position %d.\n", events(count), position)
		return nil
	}
	if c.flag("after-position") == nil {
		fmt.Fprintln(env.Stderr, "The file is not whole. Begin again.")
	} else {
		partly(env.Stderr, count, position)
	}
	if ctx.Err() != nil {
		return &failure{msg: c.noun + " " + c.verb + ": it was interrupted"}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return &failure{msg: c.noun + " " + c.verb + ": the server ended it too early"}
}

// partly says how far an interrupted file reaches.
func partly(w io.Writer, count, position uint64) {
	if count == 0 {
		fmt.Fprintln(w, "Nothing was written.")
		return
	}
	fmt.Fprintf(w, "The file is not whole: it has %s up to position %d. Go on with --after-position %d.\n", events(count), position, position)
}

func events(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

// done is how much of a file has come, and of how much; of bytes where the
// stream counts them, else of records. of is 0 if that is not said.
func done(m protoreflect.Message) (n, of uint64) {
	for _, names := range [][2]protoreflect.Name{{"bytes_done", "bytes_total"}, {"position", "last_position"}} {
		a, b := m.Descriptor().Fields().ByName(names[0]), m.Descriptor().Fields().ByName(names[1])
		if a != nil && b != nil {
			return m.Get(a).Uint(), m.Get(b).Uint()
		}
	}
	return 0, 0
}
