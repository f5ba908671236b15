package cli

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api/field"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// addFilters gives a command whose request takes conditions on fields a flag
// for them.
func (c *command) addFilters() {
	list := c.method.Input().Fields().ByName("filters")
	if list == nil || list.Message() == nil || list.Message().Name() != "FieldFilter" {
		return
	}
	c.flags = append(c.flags, flag{name: "where", path: field.Path{list},
		doc: "A condition on a field that can be searched for: village=London, or name^=Lo for what begins so. Named several times, all must hold.",
		set: func(m *dynamicpb.Message, values []string) error { return setFilters(m, list, values) }})
}

func setFilters(m *dynamicpb.Message, list protoreflect.FieldDescriptor, values []string) error {
	fields := list.Message().Fields()
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return &Usage{"--where is written FIELD=VALUE, or FIELD^=BEGINNING"}
		}
		how := "equals"
		if begins, is := strings.CutSuffix(name, "^"); is {
			name, how = begins, "prefix"
		}
		one := m.Mutable(list).List().AppendMutable().Message()
		one.Set(fields.ByName("field"), protoreflect.ValueOfString(name))
		one.Set(fields.ByName(protoreflect.Name(how)), protoreflect.ValueOfString(value))
	}
	return nil
}

func entityCheck(ctx context.Context, env Env, args []string) error {
	f := ask("entity check", "[TYPE [ID]] [flags]", "Fold one entity, those of a type, or all from their events anew, and compare them with what is served. Nothing is changed. It fails if something differs.")
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	req := &munimentv1.CheckEntitiesRequest{}
	switch len(rest) {
	case 2:
		req.Type, req.EntityId = rest[0], rest[1]
	case 1:
		req.Type, req.EntityId, _ = strings.Cut(rest[0], ":")
	case 0:
	default:
		return &Usage{clean(rest[2]) + " is not expected here"}
	}
	c, err := f.clients(ctx, env)
	if err != nil {
		return err
	}
	got, err := c.Entity.CheckEntities(ctx, req)
	if err != nil {
		return f.fault(err, "")
	}
	if f.json {
		err = printJSON(env.Stdout, proto.Message(got), "  ")
	} else {
		for _, e := range got.GetDifferent() {
			fmt.Fprintf(env.Stdout, "differs: %s\n", clean(e))
		}
		_, err = fmt.Fprintf(env.Stdout, "%d %s folded anew from %d %s, up to position %d.\n", got.GetChecked(), plural(int(got.GetChecked()), "entity was", "entities were"),
			got.GetEvents(), plural(int(got.GetEvents()), "event", "events"), got.GetPosition())
	}
	if err == nil && len(got.GetDifferent()) > 0 {
		return &failure{msg: "some are not served as their events say; muniment views rebuild mends that"}
	}
	return err
}
