package console

import (
	"encoding/hex"
	"net/http"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// instancePage is the data of instance.html.
type instancePage struct {
	Instance   *munimentv1.Instance
	Checkpoint *munimentv1.GetCheckpointResponse // nil before the first one
	Root       string
	Curl       same
	SeesEvents bool
	SeesAll    bool // events of the whole instance
	CanWrite   bool
	Home       string // name of the default organization
}

func (v *visit) instance() error {
	got, err := v.c.API.Instance.GetInstance(v.ctx, &munimentv1.GetInstanceRequest{})
	if err != nil {
		return v.c.AsFault(err)
	}
	p := instancePage{Instance: got.GetInstance(), Curl: v.same("instance get-checkpoint", "/v1/checkpoint"), SeesEvents: v.me.audits(), SeesAll: v.me.auditsAll(), CanWrite: v.me.Writes("")}
	if id := p.Instance.GetDefaultOrganizationId(); id != "" {
		p.Home = v.orgName(id)
	}
	cp, err := v.c.API.Instance.GetCheckpoint(v.ctx, &munimentv1.GetCheckpointRequest{})
	switch err = v.c.AsFault(err); {
	case err == nil:
		p.Checkpoint, p.Root = cp, hex.EncodeToString(cp.GetRootHash())
	case !fault.Is(err, fault.Unavailable):
		return err
	}
	return v.show("instance", "instance", "Instance", p)
}

// settingsForm is the data of settingsform.html.
type settingsForm struct {
	Name, Home, Privacy, Terms, Support string
	Orgs                                []option
	Problem                             string
	Errors                              map[string]string
}

func (v *visit) getSettings() (settingsForm, error) {
	got, err := v.c.API.Instance.GetInstance(v.ctx, &munimentv1.GetInstanceRequest{})
	if err != nil {
		return settingsForm{}, v.c.AsFault(err)
	}
	i := got.GetInstance()
	f := settingsForm{Name: i.GetName(), Home: i.GetDefaultOrganizationId(), Privacy: i.GetPrivacyPolicyUrl(), Terms: i.GetTermsUrl(), Support: i.GetSupportUrl()}
	f.Orgs, err = v.orgOptions()
	return f, err
}

func (v *visit) settingsForm(status int, f settingsForm) error {
	return v.showAs(status, "settingsform", page.View{Nav: "instance", Title: "Settings", Data: f})
}

func (v *visit) editSettings() error {
	f, err := v.getSettings()
	if err != nil {
		return err
	}
	return v.settingsForm(http.StatusOK, f)
}

// saveSettings changes what differs: they are different facts.
func (v *visit) saveSettings() error {
	was, err := v.getSettings()
	if err != nil {
		return err
	}
	f := settingsForm{Name: v.form("name"), Home: v.form("home"), Privacy: v.form("privacy"), Terms: v.form("terms"), Support: v.form("support"), Orgs: was.Orgs}
	api := v.c.API.Instance
	if f.Name != was.Name {
		if _, err := api.RenameInstance(v.ctx, &munimentv1.RenameInstanceRequest{Name: f.Name}); err != nil {
			return v.settingsFailed(f, err)
		}
	}
	if f.Home != was.Home {
		if _, err := api.ChangeDefaultOrganization(v.ctx, &munimentv1.ChangeDefaultOrganizationRequest{OrganizationId: f.Home, None: f.Home == ""}); err != nil {
			return v.settingsFailed(f, err)
		}
	}
	if f.Privacy != was.Privacy || f.Terms != was.Terms || f.Support != was.Support {
		if _, err := api.ChangeLinks(v.ctx, &munimentv1.ChangeLinksRequest{PrivacyPolicyUrl: f.Privacy, TermsUrl: f.Terms, SupportUrl: f.Support}); err != nil {
			return v.settingsFailed(f, err)
		}
	}
	return v.done("/console/instance", "The settings are as you said.")
}

func (v *visit) settingsFailed(f settingsForm, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	f.Errors = map[string]string{faultField(err): page.Sentence(fault.Public(err))}
	if faultField(err) == "" {
		f.Problem = page.Sentence(fault.Public(err))
	}
	return v.settingsForm(status, f)
}
