"""The roof: settings, routes and the WSGI entry; assembles the services, imported by nobody."""
