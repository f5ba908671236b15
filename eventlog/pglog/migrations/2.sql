-- Ciphertexts and blind tags stand beside the records in tables of 65,536
-- positions each, sealed_0, sealed_1 and so on, so that an erasure writes anew
-- only those that held something of the subject. They are made ahead of need.
CREATE FUNCTION sealed_grow(wanted integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{schema}}, pg_temp AS $$
DECLARE
    name text;
BEGIN
    IF wanted NOT BETWEEN 0 AND 1000000 THEN
        RAISE EXCEPTION 'there is no such table of sealed blocks';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended({{literal}} || '.sealed', 0));
    FOR n IN REVERSE wanted..0 LOOP
        name := 'sealed_' || n;
        EXIT WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (
            position   bigint   NOT NULL,
            log        integer  NOT NULL,
            block      smallint NOT NULL,
            subject    uuid     NOT NULL,
            ciphertext bytea    NOT NULL,
            blind      bytea,              -- the blind tags of that block
            PRIMARY KEY (log, position, block)
        )', name);
        -- What is to be erased must stand in no statistics.
        EXECUTE format('ALTER TABLE %I ALTER COLUMN ciphertext SET STORAGE EXTERNAL,
            ALTER COLUMN subject SET STATISTICS 0, ALTER COLUMN ciphertext SET STATISTICS 0, ALTER COLUMN blind SET STATISTICS 0', name);
        PERFORM sealed_grant(name);
    END LOOP;
END $$;

-- Grants what the roles need on such a table; migrating replaces it.
CREATE FUNCTION sealed_grant(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;

SELECT sealed_grow(1);
