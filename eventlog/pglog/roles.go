package pglog

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Roles are the database roles that share the work. None can change or delete a
// leaf: not even the owner of the tables without first taking a trigger away.
type Roles struct {
	Migrate string // owns the tables; is needed when a new version starts
	Serve   string // appends and reads
	Erase   string // deletes ciphertexts and blind tags
}

// DefaultRoles are the names that the documents use.
func DefaultRoles() Roles { return Roles{"muniment_migrate", "muniment_serve", "muniment_erase"} }

// SQL is what a superuser runs once, in the database that is to hold the log,
// to make the roles, and the two schemas: of the log, and beside it of the views,
// whose default name it is. It sets no passwords.
func (r Roles) SQL(schema string) string {
	return r.words(schema, `CREATE ROLE {{migrate}} LOGIN;
CREATE ROLE {{serve}} LOGIN;
CREATE ROLE {{erase}} LOGIN;
-- The one who migrates makes tables in the name of the one who erases, who
-- owns the ciphertexts: PostgreSQL lets only owners write a table anew.
GRANT {{erase}} TO {{migrate}};
CREATE SCHEMA {{schema}} AUTHORIZATION {{migrate}};
-- Views are the work of the one who serves, who makes and drops their tables.
CREATE SCHEMA {{views}} AUTHORIZATION {{serve}};
-- So that what was erased leaves the write-ahead log at once: that of the log,
-- and that of the views.
GRANT pg_checkpoint TO {{erase}}, {{serve}};
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {{erase}}, {{serve}};
`)
}

// rolesOf are the users of the three DSNs, or none if they are one.
func (o *Options) rolesOf() (r Roles, err error) {
	for _, c := range []struct {
		dsn  string
		role *string
	}{{o.MigrateDSN, &r.Migrate}, {o.DSN, &r.Serve}, {o.EraseDSN, &r.Erase}} {
		cc, err := o.config(c.dsn)
		if err != nil {
			return Roles{}, err
		}
		*c.role = cc.User
	}
	if r.Migrate == r.Serve && r.Serve == r.Erase {
		return Roles{}, nil
	}
	return r, nil
}

func (r Roles) words(schema, text string) string {
	quote := func(s string) string { return pgx.Identifier{s}.Sanitize() }
	return strings.NewReplacer("{{migrate}}", quote(r.Migrate), "{{serve}}", quote(r.Serve), "{{erase}}", quote(r.Erase), "{{schema}}", quote(schema), "{{views}}", quote(schema+"_views")).Replace(text)
}

// granted is how the table of settings names the roles that have what they need.
func (r Roles) granted() string { return strings.Join([]string{r.Migrate, r.Serve, r.Erase}, " ") }

// checkGrants finds out whether the roles have what they need. Where the tables
// are another's, and nobody says who migrates, that was seen to before.
func (m *migrator) checkGrants(ctx context.Context) error {
	const query = `SELECT EXISTS (SELECT FROM setting WHERE name = 'roles' AND value = $1),
		pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'migration'::regclass), 'USAGE')`
	var owner bool
	err := m.conn.QueryRow(ctx, query, m.opts.Roles.granted()).Scan(&m.granted, &owner)
	if m.opts.Roles == (Roles{}) || !owner && m.opts.MigrateDSN == m.opts.DSN {
		m.granted = m.made == Version
	}
	return readFault("read the schema's settings", err)
}

// grant gives each role what it needs and takes the rest.
func (m *migrator) grant(ctx context.Context) error {
	sql := m.opts.Roles.words(m.opts.Schema, ownOnly)
	if m.opts.Roles != (Roles{}) {
		sql += m.opts.Roles.words(m.opts.Schema, rolesOnly)
	}
	return m.tx(ctx, "grant the roles what they need", func(tx pgx.Tx) error {
		if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO setting VALUES ('roles', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, m.opts.Roles.granted())
		return err
	})
}

// ownOnly takes from everybody, the owner included, what nobody needs.
const ownOnly = `
REVOKE ALL ON ALL TABLES IN SCHEMA {{schema}} FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {{schema}} FROM PUBLIC;
REVOKE UPDATE, DELETE, TRUNCATE ON record FROM CURRENT_USER;
`

// rolesOnly is run by the owner. The loop is for the tables of sealed blocks
// that there are; the function is for those to come.
const rolesOnly = `
GRANT USAGE ON SCHEMA {{schema}} TO {{serve}}, {{erase}};
GRANT CREATE ON SCHEMA {{schema}} TO {{erase}};
GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO {{serve}};
GRANT INSERT ON log_head, standing, record, posting, blind, outcome, subject, key, tile, checkpoint, cursor, node TO {{serve}};
GRANT UPDATE ON log_head, standing, subject, key, checkpoint, cursor, node TO {{serve}};
GRANT DELETE ON standing, node TO {{serve}};
GRANT SELECT ON migration, setting, log_head, posting TO {{erase}};
GRANT SELECT, INSERT, DELETE ON scrub TO {{erase}};

CREATE OR REPLACE FUNCTION sealed_grant(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT ON %I TO {{serve}}', name);
    EXECUTE format('GRANT SELECT, DELETE ON %I TO {{erase}}', name);
    EXECUTE format('REVOKE INSERT, UPDATE, TRUNCATE, REFERENCES, TRIGGER ON %I FROM {{erase}}', name);
END $$;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'p') AND relname ~ '^(sealed_[0-9]+|blind(_[0-9a-f])?)$' LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO {{erase}}', name);
        PERFORM sealed_grant(name);
    END LOOP;
END $$;
ALTER FUNCTION sealed_grant(text) OWNER TO {{erase}};
ALTER FUNCTION sealed_grow(integer) OWNER TO {{erase}};
GRANT EXECUTE ON FUNCTION sealed_grow(integer) TO {{serve}};
`
