package console

import (
	"encoding/hex"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// instancePage is the data of instance.html.
type instancePage struct {
	Instance   *munimentv1.Instance
	Checkpoint *munimentv1.GetCheckpointResponse // nil before the first one
	Root       string
	Curl       same
	SeesEvents bool
	SeesAll    bool // events of the whole instance
}

func (v *visit) instance() error {
	got, err := v.c.API.Instance.GetInstance(v.ctx, &munimentv1.GetInstanceRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	p := instancePage{Instance: got.GetInstance(), Curl: v.same("instance get-checkpoint", "/v1/checkpoint"), SeesEvents: v.me.audits(), SeesAll: v.me.auditsAll()}
	cp, err := v.c.API.Instance.GetCheckpoint(v.ctx, &munimentv1.GetCheckpointRequest{})
	switch err = v.c.AsFault(err); {
	case err == nil:
		p.Checkpoint, p.Root = cp, hex.EncodeToString(cp.GetRootHash())
	case !fault.Is(err, fault.Unavailable):
		return err
	}
	return v.show("instance", "instance", "Instance", p)
}
