create role edge_owner;
create role edge_reader;
create role edge_writer connection limit 7;
create role edge_login login in role edge_writer;
alter role edge_writer set work_mem = '8MB';
grant pg_read_all_data to edge_reader;
