package app

import (
	"path/filepath"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/hostname"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/obs"
	"github.com/hubward/hubward/sas"
)

func (a *App) openCertificates() error {
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return err
	}
	a.warnOfHostNames(hubs)
	names, err := a.certificateNames(hubs)
	if err != nil {
		return err
	}
	a.names = names
	a.certs, err = listen.OpenCertificates(listen.CertificateOptions{
		Dir: filepath.Join(a.cfg.Data, "tls"), Hubs: names, KeyType: a.cfg.TLS.KeyType,
		CertFile: a.cfg.TLS.Certificate, KeyFile: a.cfg.TLS.Key,
		Now: a.o.Now, Rand: a.o.Rand, Logger: a.logger,
	})
	return err
}

// certificateEnds hands the ends of certificates to the metrics.
func (a *App) certificateEnds() []obs.CertificateEnd {
	var ends []obs.CertificateEnd
	for _, end := range a.certs.Ends() {
		ends = append(ends, obs.CertificateEnd(end))
	}
	return ends
}

// warnOfHostNames tells of names that were stored before there was a rule for them.
func (a *App) warnOfHostNames(hubs []hub.Config) {
	for i := range hubs {
		for _, host := range hubs[i].HostNames {
			if _, err := hostname.Parse(host); err != nil {
				a.logger.Warn("no certificate can hold this host name: give the hub others", "hub", hubs[i].Name, "hostname", host, "reason", err)
			}
		}
	}
}

// certificateNames are the names under which clients reach the hubs, the first hub first, without those that no
// certificate can hold.
func (a *App) certificateNames(hubs []hub.Config) ([]listen.HubNames, error) {
	all := make([]listen.HubNames, 0, len(hubs))
	for i := range hubs {
		hosts, err := a.hub.HostNames(a.operator, hubs[i].Name)
		if hubward.CodeOf(err) == hubward.CodeNoSuchHub {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		given := make([]string, len(hubs[i].HostNames))
		for j, host := range hubs[i].HostNames {
			given[j] = sas.CanonicalHost(host)
		}
		names := listen.HubNames{Hub: hubs[i].Name}
		for _, host := range hosts {
			switch _, err := hostname.Parse(host); {
			case err != nil:
			case slices.Contains(given, host):
				names.Hosts = append(names.Hosts, host)
			default:
				names.Aliases = append(names.Aliases, host)
			}
		}
		all = append(all, names)
	}
	return all, nil
}

func sameNames(a, b []listen.HubNames) bool {
	return slices.EqualFunc(a, b, func(x, y listen.HubNames) bool {
		return x.Hub == y.Hub && slices.Equal(x.Hosts, y.Hosts) && slices.Equal(x.Aliases, y.Aliases)
	})
}
