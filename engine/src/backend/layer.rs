//! Backends that wrap another one: whatever they do not change is asked of the one inside.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Disk;
use crate::backend::Listed;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::backend::Properties;
use bytes::Bytes;

/// A backend around another: every layer is a [`Backend`]. Each method is that of the backend inside until it is
/// overridden, those of later releases as well, so that a layer that changes one thing loses no other.
pub trait Layer: Send + Sync + 'static {
    /// The backend inside.
    fn inner(&self) -> &dyn Backend;

    /// See [`Backend::put`].
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        self.inner().put(name, body)
    }

    /// See [`Backend::get`].
    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        self.inner().get(name)
    }

    /// See [`Backend::get_range`].
    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        self.inner().get_range(name, offset, length)
    }

    /// See [`Backend::stat`].
    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        self.inner().stat(name)
    }

    /// See [`Backend::list_page`].
    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        self.inner().list_page(area, after)
    }

    /// See [`Backend::delete`].
    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.inner().delete(name)
    }

    /// See [`Backend::barrier`].
    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.inner().barrier()
    }

    /// See [`Backend::describe`].
    fn describe(&self) -> String {
        self.inner().describe()
    }

    /// See [`Backend::prepare`].
    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.inner().prepare()
    }

    /// See [`Backend::check_writable`].
    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.inner().check_writable()
    }

    /// See [`Backend::check_deletable`].
    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        self.inner().check_deletable()
    }

    /// See [`Backend::recognise`].
    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        self.inner().recognise()
    }

    /// See [`Backend::properties`].
    fn properties(&self) -> Properties {
        self.inner().properties()
    }

    /// See [`Backend::disk`].
    fn disk(&self) -> Option<&dyn Disk> {
        self.inner().disk()
    }
}

impl<L: Layer> Backend for L {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Layer::put(self, name, body)
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Layer::get(self, name)
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Layer::get_range(self, name, offset, length)
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Layer::stat(self, name)
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Layer::list_page(self, area, after)
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Layer::delete(self, name)
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Layer::barrier(self)
    }

    fn describe(&self) -> String {
        Layer::describe(self)
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Layer::prepare(self)
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Layer::check_writable(self)
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Layer::check_deletable(self)
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        Layer::recognise(self)
    }

    fn properties(&self) -> Properties {
        Layer::properties(self)
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Layer::disk(self)
    }
}
