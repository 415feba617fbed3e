--
-- PostgreSQL database cluster dump
--

\restrict HQHYLwMzAnJbxrL4H7j83WTkmEeV83o9hKKyDh15T9375d0K1ImFpHvInsBleUE

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE ledger;
ALTER ROLE ledger WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE ledger_admin;
ALTER ROLE ledger_admin WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Configurations
--








\unrestrict HQHYLwMzAnJbxrL4H7j83WTkmEeV83o9hKKyDh15T9375d0K1ImFpHvInsBleUE

--
-- Databases
--

--
-- Database "template1" dump
--

\connect template1

--
-- PostgreSQL database dump
--

\restrict zuKSIGXulroKb6vixyTETZkdnaM9POAcfAR39xWpwx8ZKrsdf5MsYkYPrbohAnK

-- Dumped from database version 16.14
-- Dumped by pg_dump version 16.14

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict zuKSIGXulroKb6vixyTETZkdnaM9POAcfAR39xWpwx8ZKrsdf5MsYkYPrbohAnK

--
-- Database "ledger" dump
--

--
-- PostgreSQL database dump
--

\restrict DCw8LMyedYQNeL744zM9gbGks5x3bnph8r4uJNg3zRB9exDOQXt5hNloQvK2zab

-- Dumped from database version 16.14
-- Dumped by pg_dump version 16.14

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ledger; Type: DATABASE; Schema: -; Owner: ledger
--

CREATE DATABASE ledger WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE ledger OWNER TO ledger;

\unrestrict DCw8LMyedYQNeL744zM9gbGks5x3bnph8r4uJNg3zRB9exDOQXt5hNloQvK2zab
\connect ledger
\restrict DCw8LMyedYQNeL744zM9gbGks5x3bnph8r4uJNg3zRB9exDOQXt5hNloQvK2zab

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: entries; Type: TABLE; Schema: public; Owner: ledger_admin
--

CREATE TABLE public.entries (
    id bigint NOT NULL,
    account text NOT NULL,
    amount bigint NOT NULL,
    booked_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE public.entries OWNER TO ledger_admin;

--
-- Name: entries_id_seq; Type: SEQUENCE; Schema: public; Owner: ledger_admin
--

ALTER TABLE public.entries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Data for Name: entries; Type: TABLE DATA; Schema: public; Owner: ledger_admin
--

COPY public.entries (id, account, amount, booked_at) FROM stdin;
1	bob	101	2026-11-01 00:00:00+00
2	carol	102	2026-11-01 00:00:00+00
3	alice	103	2026-11-01 00:00:00+00
4	bob	104	2026-11-01 00:00:00+00
5	carol	105	2026-11-01 00:00:00+00
6	alice	106	2026-11-01 00:00:00+00
7	bob	107	2026-11-01 00:00:00+00
8	carol	108	2026-11-01 00:00:00+00
9	alice	109	2026-11-01 00:00:00+00
10	bob	110	2026-11-01 00:00:00+00
11	carol	111	2026-11-01 00:00:00+00
12	alice	112	2026-11-01 00:00:00+00
13	bob	113	2026-11-01 00:00:00+00
14	carol	114	2026-11-01 00:00:00+00
15	alice	115	2026-11-01 00:00:00+00
16	bob	116	2026-11-01 00:00:00+00
17	carol	117	2026-11-01 00:00:00+00
18	alice	118	2026-11-01 00:00:00+00
19	bob	119	2026-11-01 00:00:00+00
20	carol	120	2026-11-01 00:00:00+00
\.


--
-- Name: entries_id_seq; Type: SEQUENCE SET; Schema: public; Owner: ledger_admin
--

SELECT pg_catalog.setval('public.entries_id_seq', 20, true);


--
-- Name: entries entries_pkey; Type: CONSTRAINT; Schema: public; Owner: ledger_admin
--

ALTER TABLE ONLY public.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (id);


--
-- Name: entries_account; Type: INDEX; Schema: public; Owner: ledger_admin
--

CREATE INDEX entries_account ON public.entries USING btree (account);


--
-- PostgreSQL database dump complete
--

\unrestrict DCw8LMyedYQNeL744zM9gbGks5x3bnph8r4uJNg3zRB9exDOQXt5hNloQvK2zab

--
-- Database "postgres" dump
--

\connect postgres

--
-- PostgreSQL database dump
--

\restrict 9p1Y201A9rN2MLCvniMFYHQkLmc3g9jxunRFgNaeuvTSIz55eD3aZ633QYbD31T

-- Dumped from database version 16.14
-- Dumped by pg_dump version 16.14

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict 9p1Y201A9rN2MLCvniMFYHQkLmc3g9jxunRFgNaeuvTSIz55eD3aZ633QYbD31T

--
-- PostgreSQL database cluster dump complete
--

