package console

import (
	"fmt"
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// hostedNav is the place of hosted instances in the navigation.
const hostedNav = "hosted"

// hostedList is the data of hostedlist.html.
type hostedList struct {
	Rows   []*munimentv1.HostedInstance
	Next   string
	Paged  bool
	CanAdd bool
	Curl   same
}

// hosts lets in whoever may look at hosted instances, where there can be any.
func (v *visit) hosts() error {
	if !v.c.Hosting || !v.me.has("", false, owner, admin, auditor, viewer) {
		return v.nothing()
	}
	return nil
}

func (v *visit) hostedInstances() error {
	if err := v.hosts(); err != nil {
		return err
	}
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Hosted.ListHostedInstances(v.ctx, &munimentv1.ListHostedInstancesRequest{PageSize: pageSize, PageToken: token, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	if err := v.travels("list", "hosted_instances"); err != nil {
		return err
	}
	return v.show("hostedlist", hostedNav, "Instances", hostedList{Rows: got.GetInstances(), Next: got.GetNextPageToken(), Paged: token != "",
		CanAdd: v.me.Owns(""), Curl: v.same("hosted-instance list", "/v1/hosted-instances")})
}

// hostedForm is the data of hostedform.html.
type hostedForm struct {
	Name, Host, Email, Given, Family string
	Command                          string
	Problem                          string
	Wrong                            map[string]string // by field
}

func (v *visit) newHosted() error {
	if err := v.hosts(); err != nil {
		return err
	}
	return v.showAs(http.StatusOK, "hostedform", page.View{Nav: hostedNav, Title: "Create an instance", Data: hostedForm{}})
}

func (v *visit) createHosted() error {
	if err := v.hosts(); err != nil {
		return err
	}
	f := hostedForm{Name: v.form("name"), Host: v.form("host"), Email: v.form("owner_email"), Given: v.form("owner_given_name"), Family: v.form("owner_family_name")}
	got, err := v.c.API.Hosted.CreateHostedInstance(v.ctx, &munimentv1.CreateHostedInstanceRequest{Name: f.Name, Host: f.Host, OwnerEmail: f.Email,
		OwnerGivenName: f.Given, OwnerFamilyName: f.Family, CommandId: v.command()})
	if err != nil {
		err = v.c.AsFault(err)
		status, ok := formStatus(err)
		if !ok {
			return err
		}
		// The same command again: if it was recorded and not carried out, that is
		// how the link is had.
		f.Command, f.Wrong = v.command(), map[string]string{}
		text := page.Sentence(fault.Public(err))
		if field := faultField(err); field == "" || field == "organization_name" {
			f.Problem = text
		} else {
			f.Wrong[field] = text
		}
		return v.showAs(status, "hostedform", page.View{Nav: hostedNav, Title: "Create an instance", Data: f})
	}
	return v.hostedLink(got.GetInstanceId(), f.Name+" is made", got.GetSetupLink())
}

// hostedLinkPage is the data of hostedlink.html.
type hostedLinkPage struct {
	Heading string
	At      string
	Link    *munimentv1.SetupLink // nil: it was shown already
}

func (v *visit) hostedLink(id, heading string, link *munimentv1.SetupLink) error {
	return v.show("hostedlink", hostedNav, heading, hostedLinkPage{heading, path("console", "instances", id), link})
}

// hostedPage is the data of hosted.html.
type hostedPage struct {
	In         *munimentv1.HostedInstance
	More       []string // host names but the first
	CanWrite   bool
	SeesEvents bool
	Events     []*munimentv1.Event
	Curl       same
}

func (v *visit) getHosted() (*munimentv1.HostedInstance, error) {
	if err := v.hosts(); err != nil {
		return nil, err
	}
	id, err := v.id()
	if err != nil {
		return nil, err
	}
	got, err := v.c.API.Hosted.GetHostedInstance(v.ctx, &munimentv1.GetHostedInstanceRequest{InstanceId: id, Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got.GetInstance(), nil
}

func (v *visit) hosted() error {
	in, err := v.getHosted()
	if err != nil {
		return err
	}
	p := hostedPage{In: in, CanWrite: v.me.Owns(""), SeesEvents: v.me.audits(), Curl: v.same("hosted-instance get "+in.GetId(), "/v1/hosted-instances/"+in.GetId())}
	if len(in.GetHosts()) > 1 {
		p.More = in.GetHosts()[1:]
	}
	if p.SeesEvents {
		events, err := v.c.API.Event.ListEvents(v.ctx, &munimentv1.ListEventsRequest{Filter: &munimentv1.EventFilter{Streams: []string{"instance:" + in.GetId()}}, Descending: true, PageSize: 12, Read: v.read})
		if err = v.unlessDenied(err); err != nil {
			return err
		}
		p.Events = events.GetEvents()
	}
	if err := v.travels("object", "instance:"+in.GetId()); err != nil {
		return err
	}
	return v.show("hosted", hostedNav, in.GetName(), p)
}

// hostedQuestion is what is asked before an action on a hosted instance.
func hostedQuestion(action string, in *munimentv1.HostedInstance) (q question, ok bool) {
	q = question{Back: path("console", "instances", in.GetId()), Nav: hostedNav, Reason: true}
	switch action {
	case "suspend":
		q.Heading, q.Button, q.Danger = "Suspend "+in.GetName()+"?", "Suspend", true
		q.Points = []string{"Nobody can sign in there, and its applications let nobody in.", "Nothing runs in it, erasures included.", "It can be resumed; nothing is lost."}
		q.Type, q.Typed = in.GetName(), "the instance's name"
	case "resume":
		q.Heading, q.Button = "Resume "+in.GetName()+"?", "Resume"
		q.Points = []string{"It is served again, as it was."}
	case "link":
		q.Heading, q.Button = "Make a new link for the first owner?", "Make the link"
		q.Points = []string{"The link that was made before stops working.", "It is refused as soon as anybody has signed in: then it is for the instance's own administrators."}
	case "export":
		q.Heading, q.Button = "Export "+in.GetName()+"?", "Download"
		q.Points = []string{"A copy of its log as it is now, to be checked with muniment restore and muniment verify.", "Without keys: nothing personal can be read in it. Keys are backed up on the machine, apart.", "That it was exported is recorded here."}
	case "delete":
		q.Heading, q.Button, q.Danger = "Delete "+in.GetName()+"?", "Delete for good", true
		q.Points = []string{"Its keys are destroyed: nobody can read anything in it ever again.", "Then its log is deleted. How it ended stays recorded here.", "Backups and exports elsewhere are not reached.", "This cannot be undone."}
		q.Type, q.Typed = in.GetName(), "the instance's name"
	default:
		return q, false
	}
	return q, true
}

func (v *visit) askHosted() error {
	in, err := v.getHosted()
	if err != nil {
		return err
	}
	q, ok := hostedQuestion(v.r.PathValue("a"), in)
	if !ok {
		return v.nothing()
	}
	return v.ask(q)
}

func (v *visit) actHosted() error {
	in, err := v.getHosted()
	if err != nil {
		return err
	}
	id, action, at := in.GetId(), v.r.PathValue("a"), path("console", "instances", in.GetId())
	if action == "hosts" || action == "unhost" {
		return v.changeHosts(id, at, action)
	}
	q, ok := hostedQuestion(action, in)
	if !ok {
		return v.nothing()
	}
	if ok, err := v.confirmed(q); !ok {
		return err
	}
	api, said := v.c.API.Hosted, ""
	switch action {
	case "suspend":
		said = "Suspended."
		_, err = api.SuspendHostedInstance(v.ctx, &munimentv1.SuspendHostedInstanceRequest{InstanceId: id, CommandId: v.command(), Reason: v.form("reason")})
	case "resume":
		said = "It is served again."
		_, err = api.ResumeHostedInstance(v.ctx, &munimentv1.ResumeHostedInstanceRequest{InstanceId: id, CommandId: v.command(), Reason: v.form("reason")})
	case "delete":
		said = "Deleted. Its keys are destroyed."
		_, err = api.DeleteHostedInstance(v.ctx, &munimentv1.DeleteHostedInstanceRequest{InstanceId: id, Name: in.GetName(), CommandId: v.command(), Reason: v.form("reason")})
	case "export":
		return v.exportHosted(in, at)
	case "link":
		got, err := api.CreateOwnerLink(v.ctx, &munimentv1.CreateOwnerLinkRequest{InstanceId: id, CommandId: v.command(), Reason: v.form("reason")})
		if err != nil {
			return v.refused(at, err)
		}
		return v.hostedLink(id, "A link for the first owner", got.GetSetupLink())
	}
	if err != nil {
		return v.refused(at, err)
	}
	return v.done(at, said)
}

// changeHosts adds or removes a host name.
func (v *visit) changeHosts(id, at, action string) error {
	if action == "hosts" {
		if _, err := v.c.API.Hosted.AddHostName(v.ctx, &munimentv1.AddHostNameRequest{InstanceId: id, Host: v.form("host"), CommandId: v.command()}); err != nil {
			return v.refused(at, err)
		}
		return v.done(at, "The instance is reached under this name, too.")
	}
	if _, err := v.c.API.Hosted.RemoveHostName(v.ctx, &munimentv1.RemoveHostNameRequest{InstanceId: id, Host: v.form("host"), CommandId: v.command()}); err != nil {
		return v.refused(at, err)
	}
	return v.done(at, "The instance is not reached under this name any more.")
}

// exportHosted passes the file on as it comes. If it cannot be finished the
// connection is cut, so that no browser takes it for whole.
func (v *visit) exportHosted(in *munimentv1.HostedInstance, at string) error {
	stream, err := v.c.API.Hosted.ExportHostedInstance(v.ctx, &munimentv1.ExportHostedInstanceRequest{InstanceId: in.GetId()})
	if err != nil {
		return v.refused(at, err)
	}
	defer stream.Close()
	if !stream.Receive() {
		return v.refused(at, stream.Err())
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="muniment-%s-%d-log.tar"`, in.GetLogId()[:min(8, len(in.GetLogId()))], stream.Msg().GetPosition()))
	v.w.WriteHeader(http.StatusOK)
	complete := false
	for ok := true; ok; ok = stream.Receive() {
		if _, err := v.w.Write(stream.Msg().GetChunk()); err != nil {
			return nil // the browser has gone
		}
		complete = stream.Msg().GetComplete()
	}
	if !complete || stream.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
