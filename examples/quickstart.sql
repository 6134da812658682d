-- The main job in SQL, over the files that quickstart.py leaves in demo-data: sheaf sql -f examples/quickstart.sql

-- Files are tables: a folder of Parquet, partitioned by month, and CSV beside it.
SELECT month, count(*) AS flights FROM 'demo-data/flights/' GROUP BY month ORDER BY month;

CREATE VIEW flights AS
SELECT f.*, a.name
FROM 'demo-data/flights/' AS f JOIN 'demo-data/csv/airlines.csv' AS a ON a.carrier = f.carrier;

DESCRIBE flights;

-- Delays by carrier and hour.
SELECT carrier, hour, count(*) AS flights, avg(dep_delay) AS mean_delay, max(dep_delay) AS worst
FROM flights
WHERE dep_delay IS NOT NULL
GROUP BY carrier, hour
ORDER BY mean_delay DESC
LIMIT 10;

-- The airlines that are latest in each month.
SELECT month, name, mean_delay
FROM (
    SELECT month, name, avg(dep_delay) AS mean_delay,
           rank() OVER (PARTITION BY month ORDER BY avg(dep_delay) DESC) AS place
    FROM flights WHERE dep_delay IS NOT NULL GROUP BY month, name
)
WHERE place = 1
ORDER BY month;
